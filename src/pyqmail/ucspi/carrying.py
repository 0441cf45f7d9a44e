"""Bytes carried between a connection and a process that has one end of a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from pyqmail.ucspi.stream import SocketStream

if TYPE_CHECKING:
    from pyqmail.system.streams import Stream


async def carry_between(stream: Stream, connection: socket.socket, first: bytes = b"") -> None:
    """Carry bytes both ways until the process behind `connection` says no more, then close that.

    `first` goes in before what `stream` brings. One piece is held in each direction, so
    whoever does not read makes the other wait. When the peer has said all, the process is told.
    """
    inner = SocketStream(connection)
    try:
        await inner.open()
        inward = asyncio.ensure_future(_carry_in(stream, inner, connection, first))
        try:
            await _carry(inner, stream)
        finally:
            inward.cancel()
            await asyncio.wait([inward])
    finally:
        inner.close()


async def _carry_in(
    source: Stream, target: SocketStream, connection: socket.socket, first: bytes
) -> None:
    await _carry(source, target, first)
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the process has ended


async def _carry(source: Stream, target: Stream, first: bytes = b"") -> None:
    """Copy until the source ends; a peer that is gone ends it too."""
    try:
        if first:
            await target.write(first)
        while data := await source.read():
            await target.write(data)
    except OSError:
        return
