"""Two homes send each other a thousand messages of random bytes, by SMTP under tcpserver.

One way they go in the clear, the other way over TLS.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import PrivateHome, why_not
from tests.support.tcpserver import TcpServer

from pyqmail.queue.async_client import AsyncQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("two homes"),
]

MESSAGES = 500  # each way
TOGETHER = 100
CRASHING = 300
UNDER_WAY = 40  # at most, as many as there are slots on both sides
PATIENCE = 200  # seconds for what takes about ten
PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b".",
    b"\n.\n",
    b"\r\n.\r\n",
    b"\r.\r\n",
    b"\n.\r",
    b"\0",
    b"\xff",
    b"From ",
    b"x" * 70,
]
LONG = [0, 0, 10, 1000, 70_000]  # bytes of junk at the end
# What stands before the message as it was sent: three stations, one of which has two lines.
TRACE = re.compile(
    rb"Return-Path: <aku-(\d+)@(\w)\.example>\n"
    rb"Delivered-To: kamu-\1@(\w)\.example\n"
    rb"Received: \(qmail .*\n"
    rb"Received: from .*\n  by .* with (E?SMTPS?); .*\n"
    rb"Received: \(qmail .*\n"
)


def random_message(chance: random.Random) -> bytes:
    pieces = chance.choices(PIECES, k=chance.randrange(40))
    junk = chance.randbytes(chance.choice(LONG))
    return b"".join(pieces) + junk + chance.choice([b"\n", b"\r\n", b"\n", b"\r", b""])


def as_documented(message: bytes) -> bytes | None:
    """Return what arrives, as qmail-remote(8) says: every line end is LF, other CRs are spaces.

    None: its last line has no end, so it is refused.
    """
    lines = re.sub(rb"\r\n|\r\Z", b"\n", message).replace(b"\r", b" ")
    # An empty one has a line end all the same: that of the Received field before it.
    return lines if lines.endswith(b"\n") or not lines else None


class Home:
    """One of the two, with the domain NAME.example; aku sends and kamu receives."""

    def __init__(self, name: str, home: PrivateHome) -> None:
        self.name = name
        self.home = home
        self.server: TcpServer | None = None
        home.write("control/locals", f"{name}.example\n")
        home.write("control/rcpthosts", f"{name}.example\n")
        for user in ("aku", "kamu"):
            home.write(f"home/{user}/.qmail-default", "./Maildir/\n")

    def lead_to(self, other: Home) -> None:
        """Have the other one listen, at a new port, and this one send there."""
        other.listen()
        assert other.server, "it listens"
        port = other.server.port
        self.home.write("control/smtproutes", f"{other.name}.example:127.0.0.1:{port}\n")

    def close(self) -> None:
        """Kill the server that takes mail for it."""
        if self.server is not None:
            self.server.stop()

    def listen(self) -> None:
        """Start a server that takes mail for it."""
        self.close()
        folder = Path(self.home.top)
        program = f"{self.home.path}/bin/tcpserver"
        self.server = TcpServer(program, folder, {"QMAILHOME": self.home.path})
        owner = self.home.account
        become = ["-u", str(owner.pw_uid), "-g", str(owner.pw_gid)] if os.getuid() == 0 else []
        self.server.start(["-RHl0", "-c", "100", *become], ["qmail-smtpd"])

    async def send(self, messages: dict[int, bytes], to: str) -> None:
        """Queue messages, byte for byte; each has an address of its own."""
        queue = AsyncQueue(self.home.path)
        room = asyncio.Semaphore(TOGETHER)

        async def send(number: int, text: bytes) -> None:
            async with room:
                message = await queue.open({})
                await message.write(text)
                sender = b"aku-%d@%b.example" % (number, self.name.encode())
                await message.commit(sender, [b"kamu-%d@%b.example" % (number, to.encode())])

        await asyncio.gather(*(send(*each) for each in messages.items()))
        queue.close()
        await asyncio.sleep(0)  # in which the loop closes its connections

    def count(self, user: str) -> int:
        return len(os.listdir(f"{self.home.home_of(user)}/Maildir/new"))

    def received(self) -> tuple[list[int], dict[int, bytes], set[bytes]]:
        """Return the numbers in the order of arrival, the messages, and how they came."""
        numbers, messages, ways = [], {}, set()
        for text in self.home.mail("kamu"):
            trace = TRACE.match(text)
            assert trace, text[:1000]
            assert (trace[2] == trace[3], trace[3]) == (False, self.name.encode())
            numbers.append(int(trace[1]))
            messages[numbers[-1]] = text[trace.end() :]
            ways.add(trace[4])
        return numbers, messages, ways

    def refused(self) -> list[int]:
        """Return the numbers of those that came back, all for the same reason."""
        bounces = self.home.mail("aku")
        assert all(b"SMTP cannot transfer messages with partial final lines." in t for t in bounces)
        return sorted(int(re.search(rb"Delivered-To: aku-(\d+)@", text)[1]) for text in bounces)


@pytest.fixture(scope="module")
def running_homes() -> Iterator[tuple[Home, Home]]:
    """Give two homes that run, and know the way to each other."""
    with ExitStack() as stack:
        first, second = (
            Home(name, stack.enter_context(PrivateHome("aku", "kamu"))) for name in "ab"
        )
        for here, there in ((first, second), (second, first)):
            stack.callback(here.close)
            there.lead_to(here)
        os.unlink(f"{first.home.path}/control/servercert.pem")  # else both would speak TLS
        first.home.start_alone("./Maildir/")
        second.home.start_alone("./Maildir/")
        yield first, second


@pytest.fixture
def homes(running_homes: tuple[Home, Home]) -> tuple[Home, Home]:
    """Give the two without any mail."""
    for home in running_homes:
        for user in ("aku", "kamu"):
            home.home.remove_mail(user)
    return running_homes


def test_what_arrives_is_what_was_sent_and_once(homes: tuple[Home, Home]) -> None:
    chance = random.Random(2)
    sent = {
        home.name: {number: random_message(chance) for number in range(MESSAGES)} for home in homes
    }
    first, second = homes

    exchange(homes, sent)

    for here, there in ((first, second), (second, first)):
        expected = {number: as_documented(text) for number, text in sent[there.name].items()}
        numbers, messages, ways = here.received()
        assert messages == {n: text for n, text in expected.items() if text is not None}
        assert sorted(numbers) == sorted(messages), "each arrives once"
        assert there.refused() == [n for n, text in expected.items() if text is None]
        assert ways == {b"SMTP" if here is first else b"ESMTPS"}


def test_nothing_is_lost_when_both_are_killed_in_the_middle(homes: tuple[Home, Home]) -> None:
    first, second = homes
    texts = {number: b"Subject: x\n\nletter %d.\n" % number for number in range(CRASHING)}

    asyncio.run(first.send(texts, second.name))
    second.home.wait(lambda: second.count("kamu") > CRASHING // 10, "nothing arrives")
    for home in homes:
        home.home.kill_all()
        home.close()
    arrived_before = second.count("kamu")
    first.lead_to(second)
    for home in homes:
        home.home.start_alone("./Maildir/")
    await_end(first, second, CRASHING)

    numbers, messages, _ = second.received()
    assert messages == texts
    assert arrived_before < CRASHING, "it was in the middle"
    # What was under way at that moment may come twice, and what had arrived and was still queued.
    assert len(numbers) - len(messages) <= arrived_before + UNDER_WAY
    assert first.home.mail("aku") == []


def await_end(sender: Home, receiver: Home, count: int) -> None:
    """Return when so many have arrived and nobody waits; what was deferred is tried again."""

    def all_have_arrived() -> bool:
        os.kill(sender.home.pid, signal.SIGALRM)
        time.sleep(0.5)
        waits = any(map(waiting, (sender, receiver)))
        return receiver.count("kamu") >= count and not waits

    sender.home.wait(all_have_arrived, "not all have arrived", PATIENCE)


def waiting(home: Home) -> list[str]:
    """Return the files of recipients; what else is left over was never accepted."""
    of_recipients = re.compile("/queue/(todo|info|local|remote|bounce)/")
    return [path for path in home.home.queued() if of_recipients.search(path)]


def exchange(homes: tuple[Home, Home], sent: dict[str, dict[int, bytes]]) -> None:
    """Send all both ways; return when nothing is under way any more."""
    first, second = homes

    async def send_all() -> None:
        await asyncio.gather(
            first.send(sent[first.name], second.name), second.send(sent[second.name], first.name)
        )

    asyncio.run(send_all())
    first.home.wait(
        lambda: sum(home.count(user) for home in homes for user in ("aku", "kamu")) >= 2 * MESSAGES,
        "not all have arrived or come back",
        PATIENCE,
    )
    for home in homes:
        home.home.wait_until_empty()
