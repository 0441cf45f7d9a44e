"""How every other part puts a message into the queue.

A `QueueClient` takes one message. Which way it goes is decided as whoever
starts qmail-queue decides: a program that somebody put in its place is
executed; else qmail-queued gets the message over its socket; else, if we own
the queue, we write it ourselves.
"""

from __future__ import annotations

import os

from pyqmail.control.launchers import is_ours
from pyqmail.queue import frames, layout, outcome
from pyqmail.queue.envelope_file import encoded_envelope
from pyqmail.queue.frames import FrameReader, encode_frame, parse_result, socket_path
from pyqmail.queue.outcome import failure_of
from pyqmail.system import files
from pyqmail.system.descriptors import connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterable, Mapping
    from typing import Final, Protocol

    class Way(Protocol):
        """A way into the queue; each ends with an exit code of qmail-queue."""

        def write(self, data: bytes) -> None:
            """Take the next bytes of the message."""

        def abandon(self) -> None:
            """End without an envelope."""

        def write_envelope(self, data: bytes) -> None:
            """Take the next bytes of the envelope, after the message."""

        def commit(self) -> tuple[int, int, bytes]:
            """Return exit code, qp number and what came on descriptor 6."""


_GATHER: Final = 32768  # bytes of a message gathered for one step of its way

_TAG: Final = 1

_ANSWER_SIZE: Final = 64  # bytes; an answer has fewer


class QueueClient:
    """Puts one message into the queue of the home that QMAILHOME names.

    `write()` or `copy_from()`, then `commit()`; or `fail()`, when the message
    turned out not to be complete: then nothing is queued.
    """

    def __init__(self, environ: Mapping[bytes, bytes]) -> None:
        self._way = _choose_way(environ)
        self._pieces: list[bytes] = []
        self._size = 0
        self._failed = False

    def write(self, data: bytes) -> None:
        """Take the next bytes of the message. Trouble is told by `commit()`."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= _GATHER:
            self._flush()

    def copy_from(self, descriptor: int) -> None:
        """Take all that is left to read from `descriptor`; raise OSError if that fails."""
        while data := os.read(descriptor, files.READ_SIZE):
            self.write(data)

    def fail(self) -> None:
        """Give the message up."""
        if not self._failed:
            self._flush()  # a program in qmail-queue's place sees what there was
            self._failed = True
            self._way.abandon()

    def commit(
        self,
        reverse_path: bytes,
        forward_paths: Iterable[bytes],
        additions: Iterable[bytes] = (),
    ) -> int:
        """Queue the message durably and return its qp number.

        `additions` are additional records, which a program in the place of
        qmail-queue does not know. Raises the failure that the original's
        clients report, with its text.
        """
        if not self._failed:
            self._flush()
        if self._failed:
            raise failure_of(outcome.READ_ERROR)
        for piece in encoded_envelope(reverse_path, forward_paths, additions):
            self._way.write_envelope(piece)
        code, number, text = self._way.commit()
        if code:
            raise failure_of(code, text)
        return number

    def _flush(self) -> None:
        data, self._pieces, self._size = b"".join(self._pieces), [], 0
        if data and not self._failed:
            self._way.write(data)


def _choose_way(environ: Mapping[bytes, bytes]) -> Way:
    home = os.fsdecode(environ[b"QMAILHOME"])
    program = environ.get(b"QMAILQUEUE")
    if program is None and not is_ours(home, "qmail-queue"):
        program = b"bin/qmail-queue"
    if program is not None:
        return _program_way(home, program, environ)
    try:
        return _Socket(connect(socket_path(home)))
    except OSError:
        pass  # nobody listens
    return _direct_way(home)


# Each way is imported where it is chosen: a client starts faster without the others.


def _program_way(home: str, program: bytes, environ: Mapping[bytes, bytes]) -> Way:
    from pyqmail.queue.program import Program  # noqa: PLC0415
    from pyqmail.system.processes import execute  # noqa: PLC0415

    return Program(home, lambda: execute(program, [program], environ))


def _direct_way(home: str) -> Way:
    from pyqmail.queue.direct import Direct  # noqa: PLC0415
    from pyqmail.queue.program import Program  # noqa: PLC0415
    from pyqmail.queue.submission import directly  # noqa: PLC0415

    if os.geteuid() == 0 and _owner_of_queue(home) != 0:
        # Only a child can become the owner and leave us root.
        return Program(home, lambda: directly(home, 0, 1))
    return Direct(home)


def _owner_of_queue(home: str) -> int:
    try:
        return os.stat(layout.queue_directory(home)).st_uid
    except OSError:
        return 0


class _Socket:
    """The way to qmail-queued."""

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection
        self._broken = False

    def write(self, data: bytes) -> None:
        self._send(frames.BODY, data)

    def write_envelope(self, data: bytes) -> None:
        self._send(frames.ENVELOPE, data)

    def commit(self) -> tuple[int, int, bytes]:
        code, number = self._await_answer()
        self._connection.close()
        return code, number, b""

    def abandon(self) -> None:
        # qmail-queued forgets what has no end.
        self._connection.close()
        self._broken = True

    def _send(self, kind: bytes, data: bytes) -> None:
        if not self._broken:
            try:
                self._connection.sendall(encode_frame(_TAG, kind, data))
            except OSError:
                self._broken = True  # there may be an answer that says why

    def _await_answer(self) -> tuple[int, int]:
        """Return exit code and number; what qmail-queued did before it broke, nobody knows."""
        reader = FrameReader()
        answer = b""
        try:
            while data := self._connection.recv(_ANSWER_SIZE):
                reader.feed(data)
                while (piece := reader.next_piece()) is not None:
                    answer += piece[2]
                    if piece[3]:
                        return parse_result(answer)
        except (OSError, ValueError):
            pass
        return outcome.CONNECTION_BROKE, 0
