"""UNIX stream sockets that carry open files, and who is at their other end."""

from __future__ import annotations

# The C module: `socket` costs several milliseconds for its enums and its
# buffered files, and programs that run once for each message need neither. For
# the same reason numbers are packed by `struct`: `array` imports `collections`.
import _socket
import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_INT: Final = 4  # bytes of a descriptor, a pid, a uid or a gid on the wire

_MAX_PATH: Final = 107  # bytes; the kernel's sockaddr_un has room for 108 with the NUL


def connect(path: str) -> _socket.socket:
    """Return a blocking connection to the socket at `path`; raise OSError if nobody listens."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        with ShortPath(path) as short:
            connection.connect(short)
    except OSError:
        connection.close()
        raise
    return connection


class ShortPath:
    """A name for `path` that fits into a socket address, while the context lasts."""

    __slots__ = ("_directory", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._directory = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= _MAX_PATH:
            return self._path
        directory, name = os.path.split(self._path)
        self._directory = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._directory}/{name}"

    def __exit__(self, *exception: object) -> None:
        if self._directory >= 0:
            os.close(self._directory)


def send_descriptors(connection: _socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    """Send all of `data`, and the open files with its first byte."""
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _pack(descriptors))
    sent = connection.sendmsg([data], [rights])
    if sent < len(data):
        connection.sendall(data[sent:])


def receive_descriptors(
    connection: _socket.socket, size: int, most: int
) -> tuple[bytes, list[int]]:
    """Receive at most `size` bytes, and at most `most` open files that came with them.

    The files are closed on exec, and the caller must close them. More than
    `most` are closed by the kernel.
    """
    data, ancillary, _flags, _address = connection.recvmsg(
        size, _socket.CMSG_SPACE(most * _INT), _socket.MSG_CMSG_CLOEXEC
    )
    descriptors: list[int] = []
    for level, kind, rights in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            descriptors += _unpack(rights[: len(rights) - len(rights) % _INT])
    return data, descriptors


def duplicate_above(descriptor: int, lowest: int) -> int:
    """Return a second descriptor of the same open file, `lowest` or more; closed on exec."""
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)


class Peer:
    """Who connected: the kernel's word, taken when the connection was made."""

    __slots__ = ("gid", "pid", "uid")

    def __init__(self, pid: int, uid: int, gid: int) -> None:
        self.pid = pid
        self.uid = uid
        self.gid = gid


def peer_of(connection: _socket.socket) -> Peer:
    """Return who is at the other end of a UNIX socket."""
    answer = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 3 * _INT)
    return Peer(*_unpack(answer))


def _pack(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"{len(numbers)}i", *numbers)


def _unpack(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"{len(data) // _INT}i", data)
