"""The coroutine's way into the queue, with the real qmail-queued and with programs in its place."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.launchers import launcher_folder
from tests.support.queue_stub import QueueStub
from tests.support.running_queue import private_home, queued

from pyqmail.errors import Failure, PermanentFailure, TransientFailure
from pyqmail.queue.async_client import AsyncQueue

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.process

LARGE = b"line of a large message\n" * 20_000


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    with launcher_folder() as made:
        yield made


@pytest.fixture
def home() -> Iterator[str]:
    with private_home() as made:
        yield made


@pytest.fixture
def running(home: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    with queued(home, folder) as process:
        yield process


def environ_of(home: str, **more: str) -> dict[bytes, bytes]:
    return {b"QMAILHOME": home.encode()} | {k.encode(): v.encode() for k, v in more.items()}


async def put(queue: AsyncQueue, environ: dict[bytes, bytes], *pieces: bytes) -> int:
    message = await queue.open(environ)
    for piece in pieces:
        await message.write(piece)
    return await message.commit(b"sue@a", [b"joe@b", b"ann@b"])


def messages_in(home: str) -> list[bytes]:
    found = []
    for name in os.listdir(f"{home}/queue/todo"):
        with open(f"{home}/queue/mess/{int(name) % 23}/{name}", "rb") as file:
            found.append(file.read().partition(b"\n")[2])
    return found


@pytest.mark.usefixtures("running")
def test_many_messages_share_connections_and_each_has_its_number(home: str) -> None:
    async def put_all() -> list[int]:
        queue = AsyncQueue(home)
        try:
            bodies: Sequence[bytes] = [b"message %d\n" % n for n in range(300)]
            return await asyncio.gather(*(put(queue, environ_of(home), body) for body in bodies))
        finally:
            queue.close()

    numbers = asyncio.run(put_all())

    assert len(set(numbers)) == 300
    assert sorted(messages_in(home)) == sorted(b"message %d\n" % n for n in range(300))


@pytest.mark.usefixtures("running")
def test_a_thousand_messages_that_never_end_keep_nobody_out(home: str) -> None:
    async def put_beside_slow_ones() -> int:
        queue = AsyncQueue(home)
        try:
            slow = [await queue.open(environ_of(home)) for _ in range(1000)]
            for message in slow:
                await message.write(b"x" * 40_000)
            number = await put(queue, environ_of(home), LARGE)
            for message in slow:
                await message.abandon()
            return number
        finally:
            queue.close()

    assert asyncio.run(put_beside_slow_ones()) > 0
    assert messages_in(home) == [LARGE]


@pytest.mark.usefixtures("running")
def test_a_large_message_arrives_whole(home: str) -> None:
    async def put_one() -> None:
        queue = AsyncQueue(home)
        pieces = [LARGE[at : at + 7001] for at in range(0, len(LARGE), 7001)]
        await put(queue, environ_of(home), *pieces)
        queue.close()

    asyncio.run(put_one())

    assert messages_in(home) == [LARGE]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("way", ["abandon", "withdraw"])
def test_a_message_that_is_given_up_leaves_nothing(home: str, way: str) -> None:
    async def give_up() -> None:
        queue = AsyncQueue(home)
        message = await queue.open(environ_of(home))
        await message.write(LARGE)
        await getattr(message, way)()
        await message.abandon()
        await put(queue, environ_of(home), b"next\n")
        queue.close()

    asyncio.run(give_up())

    assert messages_in(home) == [b"next\n"]


@pytest.mark.usefixtures("running")
def test_a_refusal_has_its_text(home: str) -> None:
    async def put_bad() -> None:
        queue = AsyncQueue(home)
        message = await queue.open(environ_of(home))
        try:
            await message.commit(b"a" * 2000, [b"b"])
        finally:
            queue.close()

    with pytest.raises(PermanentFailure, match="envelope address too long"):
        asyncio.run(put_bad())


def test_a_queue_that_dies_is_a_transient_failure_and_a_new_one_is_found(
    home: str, folder: str
) -> None:
    async def outlive() -> int:
        queue = AsyncQueue(home)
        with queued(home, folder) as first:
            message = await queue.open(environ_of(home))
            await message.write(b"lost\n")
            first.send_signal(signal.SIGKILL)
            first.wait()
            await asyncio.sleep(0.1)
            await message.write(LARGE)
            with pytest.raises(TransientFailure):
                await message.commit(b"", [b"joe"])
        with queued(home, folder):
            number = await put(queue, environ_of(home), b"kept\n")
        queue.close()
        return number

    assert asyncio.run(outlive()) > 0
    assert messages_in(home) == [b"kept\n"]


def test_without_a_daemon_the_owner_writes_the_queue_itself(home: str) -> None:
    asyncio.run(put(AsyncQueue(home), environ_of(home), LARGE))

    assert messages_in(home) == [LARGE]


@pytest.mark.parametrize(
    ("ending", "failure", "text"),
    [
        ("exit 31", PermanentFailure, "permanently rejected"),
        ("exit 53", TransientFailure, "disk full"),
        ("printf %s 'Dnot this (#5.7.1)' >&6; exit 82", PermanentFailure, "not this"),
        ("kill -9 $$", TransientFailure, "qq crashed"),
    ],
)
def test_a_program_in_the_place_of_qmail_queue_is_asked(
    home: str, ending: str, failure: type[Failure], text: str
) -> None:
    stub = QueueStub(f"{home}/stub", f"{home}/stubbed", ending)

    with pytest.raises(failure, match=text):
        asyncio.run(put(AsyncQueue(home), environ_of(home, QMAILQUEUE=stub.path), b"hello\n"))

    assert stub.received() == [(b"hello\n", b"Fsue@a\0Tjoe@b\0Tann@b\0\0")]


def test_of_a_short_message_that_breaks_off_a_program_sees_nothing(home: str) -> None:
    stub = QueueStub(f"{home}/stub", f"{home}/stubbed")

    async def break_off(way: str, size: int) -> None:
        message = await AsyncQueue(home).open(environ_of(home, QMAILQUEUE=stub.path))
        await message.write(b"x" * size)
        await getattr(message, way)()

    for way, size in (("abandon", 1024), ("abandon", 1025), ("withdraw", 100)):
        asyncio.run(break_off(way, size))

    assert [(len(message), envelope) for message, envelope in stub.received()] == [
        (0, b""),
        (1024, b""),
        (100, b""),
    ]
