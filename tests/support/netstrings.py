"""What clients of QMTP and QMQP send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.protocol.netstring import encode_netstring

if TYPE_CHECKING:
    from pyqmail.protocol.qmqp import RequestReader
    from pyqmail.protocol.qmtp import Event, PackageReader


def package(message: bytes, reverse_path: bytes, *forward_paths: bytes) -> bytes:
    """Return a package of QMTP; `message` begins with the byte that tells its line ends."""
    recipients = b"".join(encode_netstring(path) for path in forward_paths)
    return b"".join(encode_netstring(part) for part in (message, reverse_path, recipients))


def request(message: bytes, reverse_path: bytes, *forward_paths: bytes) -> bytes:
    """Return a request of QMQP."""
    parts = (message, reverse_path, *forward_paths)
    return encode_netstring(b"".join(encode_netstring(part) for part in parts))


def events(engine: PackageReader | RequestReader, *pieces: bytes) -> list[Event]:
    """Return what an engine makes of bytes that arrive in pieces."""
    seen: list[Event] = []
    for piece in pieces:
        engine.receive_data(piece)
        while (event := engine.next_event()) is not None:
            seen.append(event)
    return seen


def split_answers(wire: bytes) -> list[bytes]:
    """Return the strings of netstrings that follow one another."""
    answers = []
    while wire:
        length, _, rest = wire.partition(b":")
        answers.append(rest[: int(length)])
        assert rest[int(length) : int(length) + 1] == b","
        wire = rest[int(length) + 1 :]
    return answers
