from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from pyqmail.system.streams import ConnectionStream, DescriptorStream

if TYPE_CHECKING:
    from pathlib import Path


def read_all(stream: DescriptorStream) -> bytes:
    async def read() -> bytes:
        data = b""
        while piece := await stream.read():
            data += piece
        return data

    return asyncio.run(read())


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    os.close(writing)

    assert read_all(DescriptorStream(reading)) == b"hello"
    os.close(reading)


def test_a_file_can_be_the_client_too(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"QUIT\r\n")
    reading = os.open(source, os.O_RDONLY)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT)

    assert read_all(DescriptorStream(reading)) == b"QUIT\r\n"
    asyncio.run(DescriptorStream(reading, writing).write(b"221 bye\r\n"))

    os.close(reading)
    os.close(writing)
    assert target.read_bytes() == b"221 bye\r\n"


def test_more_than_a_pipe_holds_is_written_while_somebody_reads() -> None:
    reading, writing = os.pipe()
    data = b"x" * 1_000_000
    got = bytearray()

    def read() -> None:
        while piece := os.read(reading, 10_000):
            got.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    asyncio.run(DescriptorStream(0, writing).write(data))
    os.close(writing)
    reader.join()
    os.close(reading)

    assert got == data


def test_descriptors_stay_blocking() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")

    async def use() -> None:
        stream = DescriptorStream(reading, writing)
        await stream.read()
        await stream.write(b"x")

    asyncio.run(use())

    assert os.get_blocking(reading)
    assert os.get_blocking(writing)
    os.close(reading)
    os.close(writing)


def test_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with pytest.raises(BrokenPipeError):
        asyncio.run(DescriptorStream(0, writing).write(b"x"))
    os.close(writing)


def test_a_connection_of_asyncio_is_a_stream(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = ConnectionStream(reader, writer)
        while data := await stream.read():
            await stream.write(data)
        writer.close()

    async def talk() -> bytes:
        async with await asyncio.start_unix_server(echo, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"hello")
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(talk()) == b"hello"
