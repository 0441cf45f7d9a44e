"""Deliveries to servers on loopback: which host is tried, and when the next."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
from tests.differential.replay.strangers import ScriptedServer
from tests.support.dns_table import TableResolver
from tests.support.queues import make_home

from pyqmail.delivery import hops
from pyqmail.delivery.remote import Delivery, RemoteDeliverer
from pyqmail.queue.suspension import Suspension

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
REPLIES = {
    "HELO": "250 far\r\n",
    "MAIL": "250 ok\r\n",
    "RCPT": "250 ok\r\n",
    "DATA": "354 go\r\n",
    ".": "250 ok\r\n",
    "QUIT": "221 bye\r\n",
}
WELL = {"greet": "220 far\r\n", "replies": REPLIES}
DOMAIN = {b"far.example": [(10, b"a.example"), (20, b"b.example")]}
HOSTS = {b"a.example": [FIRST], b"b.example": [SECOND]}
ACCEPTED = b"r\0K%b accepted message.\nRemote host said: 250 ok\n\0"


class Place:
    """A home, and servers that all listen at one port."""

    def __init__(self, top: str) -> None:
        self.home = make_home(top)
        os.makedirs(f"{top}/control", exist_ok=True)
        self.set("me", "me.example")
        with socket.create_server((FIRST, 0)) as asking:
            self.port = asking.getsockname()[1]
        self.servers: list[ScriptedServer] = []

    def set(self, name: str, text: str) -> None:
        with open(f"{self.home}/control/{name}", "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def serve(self, address: str, **script: object) -> ScriptedServer:
        server = ScriptedServer({**WELL, **script}, address, self.port)
        self.servers.append(server)
        return server

    def deliver(
        self, *forward_paths: bytes, reverse_path: bytes = b"s@x.example", piped: bool = False
    ) -> bytes:
        deliverer = RemoteDeliverer(
            self.home, TableResolver(HOSTS, DOMAIN), Suspension(self.home, 0), self.port
        )
        paths = forward_paths or (b"a@far.example",)
        reading, writing = os.pipe()
        descriptor = reading if piped else os.memfd_create("message")
        os.write(writing if piped else descriptor, b"hello\n")
        os.close(writing)
        if not piped:
            os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            delivery = Delivery(b"far.example", reverse_path, paths, descriptor)
            return asyncio.run(deliverer.deliver(delivery)).of_all()
        finally:
            os.close(reading)
            if not piped:
                os.close(descriptor)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(str(tmp_path))
    yield place
    for server in place.servers:
        server.stop()


def test_the_best_exchanger_takes_the_message(place: Place) -> None:
    first, second = place.serve(FIRST), place.serve(SECOND)

    assert place.deliver() == ACCEPTED % FIRST.encode()
    place.servers[0].stop()
    assert first.seen[-1] == "hello\r\n.\r\n"
    assert second.seen == []


@pytest.mark.parametrize(
    "script",
    [
        {"greet": "421 busy\r\n"},
        {"greet": "554 no\r\n"},
        {"greet": None, "close": "connect"},
        {"replies": {**REPLIES, "HELO": "550 no\r\n"}},
        {"replies": {**REPLIES, "MAIL": "421 busy\r\n"}},
        {"close": "HELO"},
        {"close": "MAIL"},
        {"close": "RCPT"},
        {"close": "DATA"},
        {"greet": "nonsense\r\n"},
    ],
)
def test_the_next_is_tried_while_nothing_is_decided(
    place: Place, script: dict[str, object]
) -> None:
    place.serve(FIRST, **script)
    place.serve(SECOND)

    assert place.deliver() == ACCEPTED % SECOND.encode()


@pytest.mark.parametrize(
    ("script", "letters"),
    [
        ({"replies": {**REPLIES, "MAIL": "450 later\r\n"}}, b"Z"),
        ({"replies": {**REPLIES, "RCPT": "450 later\r\n"}}, b"s"),
        ({"replies": {**REPLIES, "RCPT": "550 no\r\n"}}, b"h"),
        ({"replies": {**REPLIES, ".": "450 later\r\n"}}, b"r\0Z"),
        ({"close": "."}, b"r\0Z"),
    ],
)
def test_what_is_decided_is_not_asked_again(
    place: Place, script: dict[str, object], letters: bytes
) -> None:
    place.serve(FIRST, **script)
    second = place.serve(SECOND)

    assert place.deliver().startswith(letters)
    assert second.seen == []


def test_where_nobody_listens_the_next_is_tried(place: Place) -> None:
    place.serve(SECOND)

    assert place.deliver() == ACCEPTED % SECOND.encode()


def test_nobody_at_all_is_no_connection(place: Place) -> None:
    report = b"ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n\0"

    assert place.deliver() == report


def test_the_last_failure_is_the_report(place: Place) -> None:
    place.serve(SECOND, greet="421 busy\r\n")
    words = b"ZConnected to 127.0.0.3 but greeting failed.\nRemote host said: 421 busy\n\0"

    assert place.deliver() == words


def test_a_pipe_is_read_once(place: Place) -> None:
    place.serve(FIRST, close="HELO")
    second = place.serve(SECOND)

    assert place.deliver(piped=True) == ACCEPTED % SECOND.encode()
    place.servers[1].stop()
    assert second.seen[-1] == "hello\r\n.\r\n"


def test_not_more_addresses_are_tried_than_a_delivery_has_time_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hops, "MAX_HOPS", 1)
    place.serve(SECOND)

    assert place.deliver().startswith(b"ZSorry, I wasn't able")


def test_a_suspended_host_is_left_alone(place: Place) -> None:
    suspension = Suspension(place.home, 0)
    now = int(time.time())
    for when in (now - 200, now):
        suspension.note_timeout(socket.inet_aton(FIRST), when)
    first = place.serve(FIRST)
    place.serve(SECOND)

    assert place.deliver() == ACCEPTED % SECOND.encode()
    assert first.seen == []


def test_a_host_that_answers_is_suspended_no_more(place: Place) -> None:
    suspension = Suspension(place.home, 0)
    suspension.note_timeout(socket.inet_aton(FIRST), 1000)
    place.serve(FIRST)

    place.deliver()

    suspension.note_timeout(socket.inet_aton(FIRST), 2000)
    assert not suspension.is_suspended(socket.inet_aton(FIRST), 2001)


def test_a_route_replaces_the_exchangers(place: Place) -> None:
    first, _ = place.serve(FIRST), place.serve(SECOND)
    place.set("smtproutes", f"far.example:b.example:{place.port}")

    assert place.deliver() == ACCEPTED % SECOND.encode()
    assert first.seen == []


@pytest.mark.parametrize("routes", ["far.example:b.example:70000", "far.example:[::1"])
def test_a_route_that_makes_no_sense_delays_the_mail(place: Place, routes: str) -> None:
    place.set("smtproutes", routes)

    assert place.deliver() == b"ZUnable to read control files. (#4.3.0)\n\0"


@pytest.mark.parametrize("bad", [b"a\nDATA@far.example", b"a@far\r.example"])
def test_an_address_with_a_line_break_is_refused_and_the_others_are_served(
    place: Place, bad: bytes
) -> None:
    first = place.serve(FIRST)
    words = b"hThis address has a line break; SMTP has none. (#5.1.3)\n\0"

    assert place.deliver(bad, b"b@far.example") == words + ACCEPTED % FIRST.encode()
    assert place.deliver(bad) == words + b"DGiving up: no address can be sent.\n\0"
    assert place.deliver(reverse_path=bad).startswith(b"DThis sender's address has a line break")
    place.servers[0].stop()
    assert [line for line in first.seen if "RCPT" in line] == ["RCPT TO:<b@far.example>\r\n"]


@pytest.mark.parametrize(("source", "seen"), [("127.0.0.9", "127.0.0.9"), ("::1", "127.0.0.1")])
def test_connections_come_from_the_outgoing_address_of_their_kind(
    place: Place, source: str, seen: str
) -> None:
    first = place.serve(FIRST)
    place.set("outgoingip", source)

    assert place.deliver() == ACCEPTED % FIRST.encode()
    assert first.peer == seen


async def deliver_together(place: Place, number: int) -> list[bytes]:
    """Deliver so many messages at once, over one connection at a time."""
    resolver, suspension = TableResolver(HOSTS, DOMAIN), Suspension(place.home, 0)
    deliverer = RemoteDeliverer(place.home, resolver, suspension, place.port, limit=1)
    with contextlib.ExitStack() as stack:
        tasks = []
        for each in range(number):
            message = os.memfd_create("message")
            stack.callback(os.close, message)
            os.pwrite(message, b"hello %d\n" % each, 0)
            delivery = Delivery(b"far.example", b"s@x", [b"a@far.example"], message)
            tasks.append(deliverer.deliver(delivery))
        return [outcome.of_all() for outcome in await asyncio.gather(*tasks)]


def test_a_connection_that_is_done_carries_the_message_of_whoever_waits(place: Place) -> None:
    first = place.serve(FIRST)

    said = asyncio.run(deliver_together(place, 5))

    first.stop()
    assert said == [ACCEPTED % FIRST.encode()] * 5
    messages = {line for line in first.seen if line.endswith("\r\n.\r\n")}
    assert messages == {f"hello {each}\r\n.\r\n" for each in range(5)}
    assert first.sessions == 1


def test_a_connection_whose_transaction_came_to_nothing_is_not_used_again(place: Place) -> None:
    replies = {**REPLIES, "RCPT": ["550 no\r\n", "250 ok\r\n"]}
    first = place.serve(FIRST, replies=replies)

    said = asyncio.run(deliver_together(place, 2))

    first.stop()
    assert [each[:1] for each in said] == [b"h", b"r"]
    assert first.sessions == 2


def test_a_connection_that_breaks_when_it_is_used_again_is_replaced(place: Place) -> None:
    first = place.serve(
        FIRST, replies={**REPLIES, "MAIL": ["250 ok\r\n", "421 bye\r\n", "250 ok\r\n"]}
    )

    said = asyncio.run(deliver_together(place, 2))

    first.stop()
    assert said == [ACCEPTED % FIRST.encode()] * 2
    assert first.sessions == 2


def test_whoever_waits_for_a_host_that_does_not_answer_need_not_ask(place: Place) -> None:
    second = place.serve(SECOND)

    said = asyncio.run(deliver_together(place, 3))

    second.stop()
    assert said == [ACCEPTED % SECOND.encode()] * 3
