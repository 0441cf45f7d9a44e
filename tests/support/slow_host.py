"""A host that takes a message slowly: so many bytes, then a pause, with a small window."""

from __future__ import annotations

import math
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

END: Final = b"\r\n.\r\n"


class SlowHost:
    """Takes `piece` bytes of a message at a time, and pauses for so many seconds after each.

    After so many `pauses` it goes on without.
    """

    def __init__(self, piece: int, pause: float, pauses: float = math.inf) -> None:
        self._piece = piece
        self._pause = pause
        self._pauses = pauses
        self._ended = threading.Event()
        self.port = 0
        self.sessions = 0
        self.begun = threading.Event()  # the first byte of a message has come
        self.left = threading.Event()  # a session is over
        self.messages: list[bytes] = []

    @contextmanager
    def running(self) -> Iterator[SlowHost]:
        """Serve while this lasts."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            # Those that are accepted have the same; without it the window would take it all.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._piece)
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            try:
                yield self
            finally:
                self._ended.set()
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.sessions += 1
                with connection, suppress(ConnectionError):
                    self._session(connection)
                self.left.set()

    def _session(self, connection: socket.socket) -> None:
        connection.sendall(b"220 slow\r\n")
        with connection.makefile("rb", buffering=0) as lines:
            while line := lines.readline():
                if line.startswith(b"DATA"):
                    connection.sendall(b"354 go\r\n")
                    if not self._take(connection):
                        return
                connection.sendall(b"250 ok\r\n")

    def _take(self, connection: socket.socket) -> bool:
        """Take a message; say whether it came to its end."""
        message = b""
        while not message.endswith(END):
            data = connection.recv(self._piece)
            if not data:
                return False
            self.begun.set()
            message += data
            self._pauses -= 1
            if self._pauses >= 0 and self._ended.wait(self._pause):
                return False
        self.messages.append(message)
        return True
