"""What each answer and each accident leads to, in every phase of a delivery.

A delivery has two hosts. The one that misbehaves is preferred; the other is well.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from contextlib import ExitStack
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from tests.support.certificates import Authority
from tests.support.dns_table import TableResolver
from tests.support.far_host import CLOSE, ENDLESS_LINE, ENDLESS_LINES, RESET, SILENCE, FarHost
from tests.support.queues import make_home

from pyqmail.delivery.remote import Delivery, RemoteDeliverer
from pyqmail.queue.suspension import Suspension
from pyqmail.queue.tcpto import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyqmail.delivery.outcome import Outcome

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
DOMAIN = {b"far.example": [(10, b"a.example"), (20, b"b.example")]}
HOSTS = {b"a.example": [FIRST], b"b.example": [SECOND]}

EVENTS = {
    "2xx": b"251 fine\r\n",
    "3xx": b"350 go on\r\n",
    "4xx": b"451 later\r\n",
    "5xx": b"550 never\r\n",
    "421": b"421 bye\r\n",
    "garbage": b"what is this\r\n",
    "too short": b"25\r\n",
    "endless line": ENDLESS_LINE,
    "endless lines": ENDLESS_LINES,
    "close": CLOSE,
    "silence": SILENCE,
    "reset": RESET,
}
# taken: by the first host. plain: so, without TLS. next: by the second.
# later, never: the message waits, or bounces, and the second was not asked.
# doubt: it waits, and there may be two of it.
NEXT = dict.fromkeys(EVENTS, "next")
ANSWERED = {
    "2xx": "taken",
    "3xx": "taken",
    "4xx": "later",
    "5xx": "never",
    "garbage": "never",  # as the original reads it
}
TABLE: dict[str, dict[str, str]] = {
    "greeting": NEXT,
    # HELO is said where EHLO is refused, however.
    "ehlo": NEXT | dict.fromkeys(("2xx", "3xx", "4xx", "5xx", "garbage"), "taken"),
    "helo": NEXT,
    "starttls": dict.fromkeys(EVENTS, "plain"),
    "starttls, demanded": NEXT,
    "tls": dict.fromkeys(EVENTS, "plain"),
    "tls, demanded": NEXT,
    "auth": NEXT | {"2xx": "taken"},
    "mail": NEXT | ANSWERED,
    "rcpt": NEXT | ANSWERED,
    "data": NEXT
    | {"2xx": "later", "3xx": "taken", "4xx": "later", "5xx": "never"}
    | {"garbage": "never"},
    "end": dict.fromkeys(EVENTS, "doubt") | ANSWERED | {"421": "later"},
    "rset": dict.fromkeys(EVENTS, "taken"),
    "quit": dict.fromkeys(EVENTS, "taken"),
}
CASES = [(phase, event, there[event]) for phase, there in TABLE.items() for event in EVENTS]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("certificate")
    Authority().issue(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "servercert.pem")
    return context


class Place:
    """A home, and both hosts."""

    def __init__(self, top: Path) -> None:
        self.home = make_home(str(top))
        (top / "control").mkdir(exist_ok=True)
        self._control = top / "control"
        self.set("me", "me.example")
        self.second = FarHost()

    def set(self, name: str, text: str) -> None:
        (self._control / name).write_text(text + "\n")
        (self._control / name).chmod(0o600)

    async def deliver(
        self, first: FarHost, forward_paths: Sequence[bytes] = (b"a@far.example",), times: int = 1
    ) -> list[Outcome]:
        """Deliver so many messages, one after the other over one connection if that can be."""
        port = await first.listen(FIRST)
        await self.second.listen(SECOND, port)
        resolver = TableResolver(HOSTS, DOMAIN)
        deliverer = RemoteDeliverer(self.home, resolver, Suspension(self.home, 0), port, 1)
        try:
            with ExitStack() as stack:
                deliveries = [self.delivery(stack, forward_paths) for _ in range(times)]
                return await asyncio.gather(*map(deliverer.deliver, deliveries))
        finally:
            await first.stop()
            await self.second.stop()

    def delivery(self, stack: ExitStack, forward_paths: Sequence[bytes]) -> Delivery:
        message = os.memfd_create("message")
        stack.callback(os.close, message)
        os.pwrite(message, b"hello\n", 0)
        return Delivery(b"far.example", b"s@x.example", forward_paths, message)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def said_of(outcome: Outcome, first: FarHost, second: FarHost) -> str:
    """Return the word of the table."""
    letter = outcome.of_one(0).split(b"\0")[0][:1]
    if second.messages:
        assert (outcome.message[:1], len(first.messages)) == (b"K", 0)
        return "next"
    assert second.sessions == 0
    if b"Possible duplicate" in outcome.message:
        return "doubt"
    if letter == b"r":
        letter = outcome.message[:1]
    if letter == b"K" and first.secured == 0 and b"STARTTLS\r\n" in first.commands:
        return "plain"
    return {b"K": "taken", b"Z": "later", b"s": "later", b"D": "never", b"h": "never"}[letter]


@pytest.mark.parametrize(("phase", "event", "expected"), CASES)
def test_what_happens(
    place: Place, context: ssl.SSLContext, phase: str, event: str, expected: str
) -> None:
    name, _, demanded = phase.partition(", ")
    place.set("timeoutremote", "1" if event == "silence" else "20")
    if demanded:
        place.set("tlspolicy", ":encrypt")
        place.second = FarHost({}, [b"STARTTLS"], context)
    script: dict[str, bytes | Sequence[bytes]] = {name: EVENTS[event]}
    extensions = [b"STARTTLS"] if name in ("starttls", "tls") else []
    if name == "helo":
        script["ehlo"] = b"500 what\r\n"
    if name == "rset":
        script["rcpt"] = [b"550 no\r\n", b"250 ok\r\n"]
    if name == "auth":
        extensions = [b"AUTH PLAIN"]
        place.set("smtproutes_auth", "a.example joe secret")
        place.set("tlspolicy", ":none")
    first = FarHost(script, extensions, context)
    if name == "auth":
        outcomes = asyncio.run(deliver_by_route(place, first))
    else:
        outcomes = asyncio.run(place.deliver(first, times=2 if name == "rset" else 1))

    assert said_of(outcomes[-1], first, place.second) == expected


async def deliver_by_route(place: Place, first: FarHost) -> list[Outcome]:
    """Deliver where both hosts are addresses of one relay, which wants a login."""
    with socket.create_server((FIRST, 0)) as asking:
        port = asking.getsockname()[1]
    await first.listen(FIRST, port)
    place.second = FarHost({}, [b"AUTH PLAIN"])
    await place.second.listen(SECOND, port)
    place.set("smtproutes", f":a.example:{port}")
    resolver = TableResolver({b"a.example": [FIRST, SECOND]})
    deliverer = RemoteDeliverer(place.home, resolver, Suspension(place.home, 0))
    message = os.memfd_create("message")
    os.pwrite(message, b"hello\n", 0)
    try:
        delivery = Delivery(b"far.example", b"s@x.example", [b"a@far.example"], message)
        return [await deliverer.deliver(delivery)]
    finally:
        os.close(message)
        await first.stop()
        await place.second.stop()


def test_where_nobody_listens_the_next_is_asked(place: Place) -> None:
    async def play() -> Outcome:
        port = await place.second.listen(SECOND)
        resolver = TableResolver(HOSTS, DOMAIN)
        deliverer = RemoteDeliverer(place.home, resolver, Suspension(place.home, 0), port)
        with ExitStack() as stack:
            delivery = place.delivery(stack, [b"a@far.example"])
            outcome = await deliverer.deliver(delivery)
        await place.second.stop()
        return outcome

    assert asyncio.run(play()).message[:1] == b"K"


EACH = {
    "2xx": b"r",
    "3xx": b"r",
    "4xx": b"s",
    "5xx": b"h",
    "421": b"s",
    "garbage": b"h",
}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(("event", "letter"), EACH.items())
@pytest.mark.parametrize("extensions", [[], [b"PIPELINING"]])
def test_what_is_said_of_one_recipient_touches_no_other(
    place: Place, number: int, event: str, letter: bytes, extensions: list[bytes]
) -> None:
    replies = [b"250 ok\r\n"] * 3
    replies[number] = EVENTS[event]
    paths = [b"a@far.example", b"b@far.example", b"c@far.example"]
    first = FarHost({"rcpt": replies}, extensions)

    (outcome,) = asyncio.run(place.deliver(first, paths))

    expected = [b"r"] * 3
    expected[number] = letter
    assert [each[:1] for each in outcome.recipients] == expected
    assert outcome.message[:1] == b"K"
    assert [outcome.of_one(each)[:1] for each in range(3)] == expected
    assert (len(first.messages), place.second.sessions) == (1, 0)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("event", ["too short", "endless line", "endless lines", "close", "reset"])
def test_where_the_connection_ends_among_the_recipients_the_next_host_gets_all(
    place: Place, number: int, event: str
) -> None:
    replies = [b"250 ok\r\n"] * 3
    replies[number] = EVENTS[event]
    paths = [b"a@far.example", b"b@far.example", b"c@far.example"]

    (outcome,) = asyncio.run(place.deliver(FarHost({"rcpt": replies}), paths))

    assert list(outcome.recipients) == [b"r"] * 3
    assert (outcome.message[:1], len(place.second.messages)) == (b"K", 1)


# Nobody to talk to: what connecting may come to, and whether it is remembered.

CONNECTING = [
    (ConnectionRefusedError(), "next", False),
    (ConnectionResetError(), "next", False),
    (OSError(errno.EHOSTUNREACH, "no route"), "next", False),
    (OSError(errno.ENETUNREACH, "no network"), "next", False),
    (OSError(errno.EADDRNOTAVAIL, "no such source"), "next", False),
    (OSError(errno.ETIMEDOUT, "timed out"), "next", True),
    (None, "next", True),
    (OSError(errno.EMFILE, "too many"), "later", False),
    (OSError(errno.ENOBUFS, "no room"), "later", False),
]


@pytest.mark.parametrize(("accident", "expected", "remembered"), CONNECTING)
def test_what_connecting_comes_to(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    accident: OSError | None,
    expected: str,
    *,
    remembered: bool,
) -> None:
    connect = asyncio.open_connection

    async def connect_or_not(host: str, *arguments: object, **named: object) -> object:
        if host == FIRST:
            if accident is not None:
                raise accident
            await asyncio.get_running_loop().create_future()
        return await connect(host, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "open_connection", connect_or_not)
    place.set("timeoutconnect", "1")
    first = FarHost()

    (outcome,) = asyncio.run(place.deliver(first))

    assert first.sessions == 0
    if expected == "later":
        report = b"ZSystem resources temporarily unavailable. (#4.3.0)\n"
        assert (outcome.message, place.second.sessions) == (report, 0)
    else:
        assert (outcome.message[:1], len(place.second.messages)) == (b"K", 1)
    assert [str(ip_address(host.address)) for host in read_table(place.home)] == (
        [FIRST] if remembered else []
    )


@pytest.mark.parametrize("source", ["::1", "127.0.0.1", "127.0.0.1\n::1"])
def test_a_host_is_reached_by_ipv6_whatever_the_source_for_ipv4(place: Place, source: str) -> None:
    async def play() -> tuple[Outcome, FarHost]:
        host = FarHost()
        port = await host.listen("::1")
        place.set("smtproutes", f":[::1]:{port}")
        place.set("outgoingip", source)
        deliverer = RemoteDeliverer(place.home, TableResolver(), Suspension(place.home, 0))
        with ExitStack() as stack:
            delivery = place.delivery(stack, [b"a@far.example"])
            outcome = await deliverer.deliver(delivery)
        await host.stop()
        return outcome, host

    outcome, host = asyncio.run(play())

    assert outcome.message == b"K::1 accepted message.\nRemote host said: 250 ok\n"
    assert len(host.messages) == 1
