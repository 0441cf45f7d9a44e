"""A message without end: whoever sends it costs neither memory nor, where there is a limit, disk.

256 mebibytes stand for what never ends; `bench/run smtp_memory` sends more.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import HOST, why_not
from tests.support.reception import Peaks, Reception, reception

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("endless messages"),
]

MOST_GROWTH = 16 * 2**20  # bytes of each process
SENT = 256 * 2**20
ANNOUNCED = 4 * 2**30
PIECE = (b"x" * 998 + b"\r\n") * 1048  # 1 MiB, nearly
ENVELOPE = f"MAIL FROM:<sue@example.net>\r\nRCPT TO:<aku@{HOST}>\r\n".encode()
TOO_LARGE = b"552 sorry, that message size exceeds my databytes limit (#5.3.4)\r\n"
SECONDS = 120  # for each on a busy machine


@pytest.fixture(scope="module")
def place() -> Iterator[Reception]:
    with reception() as place:
        yield place


class Client:
    """Says something and hears the last line of the answer."""

    def __init__(self, place: Reception) -> None:
        self._connection = socket.create_connection(("127.0.0.1", place.server.port), SECONDS)
        self._file = self._connection.makefile("rb")
        assert self._file.readline().startswith(b"220 ")

    def say(self, words: bytes) -> None:
        self._connection.sendall(words)

    def hear(self, lines: int = 1) -> bytes:
        return [self._file.readline() for _ in range(lines)][-1]

    def send(self, size: int) -> int:
        """Send at least so many bytes; return how many it were."""
        pieces = -(-size // len(PIECE))
        for _ in range(pieces):
            self._connection.sendall(PIECE)
        return pieces * len(PIECE)

    def close(self) -> None:
        self._file.close()
        self._connection.close()


def client_under(place: Reception, databytes: int) -> Iterator[Client]:
    """Give a client whose session knows this limit: it is read when the session begins."""
    place.home.write("control/databytes", f"{databytes}\n")
    client = Client(place)
    yield client
    client.close()


@pytest.fixture
def limited(place: Reception) -> Iterator[Client]:
    yield from client_under(place, 1_000_000)


@pytest.fixture
def unlimited(place: Reception) -> Iterator[Client]:
    yield from client_under(place, 0)


def assert_flat(place: Reception, peaks: Peaks) -> None:
    growth = peaks.growth()
    sys.stdout.write(f"memory grew by {growth / 2**20:.1f} MiB\n")
    assert growth < MOST_GROWTH
    assert place.server.ask(b"QUIT\r\n").endswith(b"\r\n221 " + HOST.encode() + b"\r\n")


def peaks_of(place: Reception) -> Peaks:
    return Peaks(place.server.worker(), place.queued)


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
def test_a_large_message_that_is_kept_costs_no_memory(
    place: Reception, unlimited: Client, verb: str
) -> None:
    peaks = peaks_of(place)
    unlimited.say(ENVELOPE)
    assert unlimited.hear(2) == b"250 ok\r\n"
    if verb == "DATA":
        unlimited.say(b"DATA\r\n")
        unlimited.hear()
        unlimited.send(SENT)
        unlimited.say(b".\r\n")
    else:
        size = -(-SENT // len(PIECE)) * len(PIECE)
        unlimited.say(b"BDAT %d LAST\r\n" % size)
        unlimited.send(SENT)

    answer = unlimited.hear()

    assert answer.startswith(b"250 ok "), answer
    assert_flat(place, peaks)
    for name in place.home.queued():
        os.unlink(name)


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
def test_what_is_beyond_the_limit_is_thrown_away(
    place: Reception, limited: Client, verb: str
) -> None:
    peaks = peaks_of(place)
    limited.say(ENVELOPE)
    limited.hear(2)
    begin = time.monotonic()
    if verb == "DATA":
        limited.say(b"DATA\r\n")
        limited.hear()
        sent = limited.send(SENT)
        limited.say(b".\r\n")
    else:
        sent = -(-SENT // len(PIECE)) * len(PIECE)
        limited.say(b"BDAT %d LAST\r\n" % sent)
        limited.send(SENT)

    answer = limited.hear()

    took = time.monotonic() - begin
    sys.stdout.write(f"{sent} bytes in {took:.0f} s\n")
    assert answer == TOO_LARGE
    place.home.wait(lambda: not place.home.queued(), "something of it stays")
    assert_flat(place, peaks)


def test_who_announces_too_much_is_refused_before_he_sends_it(limited: Client) -> None:
    limited.say(b"EHLO x\r\nMAIL FROM:<sue@example.net> SIZE=%d\r\n" % ANNOUNCED)

    while (answer := limited.hear()).startswith((b"250-", b"250 ")):
        pass
    assert answer == TOO_LARGE


@pytest.mark.timeout(SECONDS)
def test_who_announces_and_goes_away_leaves_nothing(place: Reception, unlimited: Client) -> None:
    unlimited.say(ENVELOPE + b"BDAT %d LAST\r\n" % ANNOUNCED)
    unlimited.hear(2)
    unlimited.send(8 * len(PIECE))

    unlimited.close()

    place.home.wait(lambda: place.home.queued() == [], "the message stays")
    assert place.home.queued() == []


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("verb", [b"", ENVELOPE + b"DATA\r\nSubject: ", ENVELOPE + b"DATA\r\n"])
def test_a_line_without_end_costs_no_memory(place: Reception, limited: Client, verb: bytes) -> None:
    peaks = peaks_of(place)
    limited.say(verb)

    for _ in range(256):
        limited.say(b"x" * 2**20)
    limited.say(b"\r\n.\r\n")

    heard = [limited.hear() for _ in range(3 if verb else 2)]
    assert heard[-1].startswith(b"354 " if verb else b"502 "), heard
    assert_flat(place, peaks)
