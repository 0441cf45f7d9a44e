"""A thousand messages of random bytes, from our client to our server on loopback."""

from __future__ import annotations

import asyncio
import os
import random
import re
from typing import TYPE_CHECKING

import pytest
from tests.support.dns_table import TableResolver
from tests.support.queues import make_home
from tests.support.smtp import Server

from pyqmail.delivery.remote import Delivery, RemoteDeliverer
from pyqmail.queue.suspension import Suspension

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

MESSAGES = 1000
TOGETHER = 50
ADDRESS = "127.0.0.2"
PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b".",
    b"\n.\n",
    b"\r\n.\r\n",
    b"\r.\r\n",
    b"\0",
    b"\xff",
    b"x" * 70,
]


def random_message(chance: random.Random) -> bytes:
    pieces = chance.choices(PIECES, k=chance.randrange(60))
    junk = chance.randbytes(chance.choice([0, 10, 70_000]))
    return b"".join(pieces) + junk + b"\n"


def as_documented(message: bytes) -> bytes:
    """Return what arrives: line ends are LF again, and every other CR is a space."""
    return message.replace(b"\r\n", b"\n").replace(b"\r", b" ")


class Receiver:
    """Takes every session; `messages` is what came, by recipient."""

    def __init__(self) -> None:
        self.messages: dict[bytes, bytes] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = Server()
        writer.write(b"220 far\r\n")
        while data := await reader.read(4000):
            already = len(server.outcome.replies)
            server.feed(data)
            while server.outcome.messages:
                _, (recipient,), message = server.outcome.messages.pop()
                assert recipient not in self.messages, "each is sent once"
                self.messages[recipient] = message
            writer.write(server.outcome.replies[already:])
        writer.close()


async def send_all(home: str, messages: dict[bytes, bytes]) -> tuple[list[bytes], Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, ADDRESS, 0)
    port = server.sockets[0].getsockname()[1]
    resolver = TableResolver({b"far.example": [ADDRESS]})
    deliverer = RemoteDeliverer(home, resolver, Suspension(home, 0), port)
    room = asyncio.Semaphore(TOGETHER)

    async def send(recipient: bytes, message: bytes) -> bytes:
        async with room:
            descriptor = os.memfd_create("message")
            try:
                os.pwrite(descriptor, message, 0)
                delivery = Delivery(b"far.example", b"s@x", [recipient], descriptor)
                return await deliverer.deliver(delivery)
            finally:
                os.close(descriptor)

    said = await asyncio.gather(*(send(*each) for each in messages.items()))
    server.close()
    return said, receiver


def test_what_arrives_is_what_was_sent(tmp_path: Path) -> None:
    home = make_home(str(tmp_path))
    os.makedirs(f"{home}/control", exist_ok=True)
    with open(f"{home}/control/me", "w", encoding="utf-8") as file:
        file.write("me.example\n")
    chance = random.Random(5)
    messages = {b"r%d@far.example" % n: random_message(chance) for n in range(MESSAGES)}

    said, receiver = asyncio.run(send_all(home, messages))

    assert {each[:3] for each in said} == {b"r\0K"}
    assert receiver.messages == {to: as_documented(text) for to, text in messages.items()}
    assert not any(re.search(rb"\r", text) for text in receiver.messages.values())
