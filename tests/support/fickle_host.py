"""SMTP servers that misbehave as a table says: close, say nothing, are slow, say 421 anywhere.

Each takes any number of sessions at once, and behaves itself from the second on
unless told otherwise.
"""

from __future__ import annotations

import socketserver
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE = 60  # seconds in which a client says something
SHORTLY = 10  # seconds that another test may need a port
LINE = 100_000  # bytes
ANYWHERE = ("127.0.0.1", 0)


class Accident(Enum):
    """What may happen instead of an answer."""

    CLOSE = auto()
    SILENCE = auto()  # until the client goes away
    VANISH = auto()  # hang up after the first line of the message


WELL = {
    "CONNECT": b"220 fickle.example\r\n",
    "EHLO": b"250-fickle.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    "HELO": b"250 fickle.example\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go ahead\r\n",
    "END": b"250 kept\r\n",
    "RSET": b"250 ok\r\n",
    "QUIT": b"221 bye\r\n",
}


@dataclass(frozen=True)
class Behaviour:
    """`answers` are those that differ from a good server's, in the first session or `always`.

    What comes from it comes byte by byte, with a `pause` of so many seconds.
    """

    answers: Mapping[str, bytes | Accident] = field(default_factory=dict)
    always: bool = False
    pause: float = 0.0


class _Closed(Exception):  # noqa: N818  the way out of a session
    pass


class FickleHost(socketserver.ThreadingTCPServer):
    """One server; `messages` are recipients and text of each that it has said 250 to."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, behaviour: Behaviour, place: tuple[str, int]) -> None:
        super().__init__(place, _Session)
        self.behaviour = behaviour
        self.port: int = self.server_address[1]
        self.sessions = 0
        self.messages: list[tuple[list[bytes], bytes]] = []

    def answers(self) -> dict[str, bytes | Accident]:
        """Return what the next session answers."""
        self.sessions += 1
        differs = self.behaviour.always or self.sessions == 1
        return {**WELL, **(self.behaviour.answers if differs else {})}


class _Session(socketserver.StreamRequestHandler):
    server: FickleHost
    timeout = PATIENCE

    def handle(self) -> None:
        self._answers = self.server.answers()
        self._has_sender = False
        self._recipients: list[bytes] = []
        try:
            self._answer("CONNECT")
            while line := self.rfile.readline(LINE):
                self._obey(line)
        except (_Closed, OSError):
            return

    def _obey(self, line: bytes) -> None:
        verb = line[:4].upper().decode("latin-1")
        if (verb == "RCPT" and not self._has_sender) or (verb == "DATA" and not self._recipients):
            self.wfile.write(b"503 not now\r\n")  # a client that pipelines asks too early
            return
        answer = self._answer(verb)
        if verb == "MAIL":
            self._recipients, self._has_sender = [], answer.startswith(b"2")
        if verb == "RCPT" and answer.startswith(b"2"):
            self._recipients.append(line.partition(b"<")[2].partition(b">")[0])
        if verb == "DATA" and answer.startswith(b"3"):
            text = self._read_message()
            if self._answer("END").startswith(b"2"):
                self.server.messages.append((self._recipients, text))

    def _read_message(self) -> bytes:
        lines = []
        while (line := self.rfile.readline(LINE)) != b".\r\n":
            if not line or self._answers["END"] is Accident.VANISH:
                raise _Closed
            lines.append(line[line.startswith(b".") :])
        return b"".join(lines)

    def _answer(self, verb: str) -> bytes:
        answer = self._answers.get(verb, b"502 what\r\n")
        if answer is Accident.SILENCE:
            self.rfile.read(1)
        if isinstance(answer, Accident):
            raise _Closed
        for piece in self._pieces(answer):
            self.wfile.write(piece)
            time.sleep(self.server.behaviour.pause)
        if verb == "STAR" and answer.startswith(b"2"):
            # No TLS comes, whatever the client says; what it says is no SMTP either.
            self.rfile.read(1)
            self.wfile.write(b"what?\r\n")
            raise _Closed
        if answer.startswith(b"421"):
            raise _Closed
        return answer

    def _pieces(self, answer: bytes) -> list[bytes]:
        if not self.server.behaviour.pause:
            return [answer]
        return [answer[at : at + 1] for at in range(len(answer))]


@contextmanager
def fickle_hosts(
    behaviours: Mapping[str, Behaviour], place: tuple[str, int] = ANYWHERE
) -> Iterator[dict[str, FickleHost]]:
    """Have one host for each of the names; skip the test where none can listen at `place`."""
    hosts = {name: _host(behaviour, place) for name, behaviour in behaviours.items()}
    threads = [threading.Thread(target=host.serve_forever, args=(0.05,)) for host in hosts.values()]
    for thread in threads:
        thread.start()
    try:
        yield hosts
    finally:
        for host in hosts.values():
            host.shutdown()
            host.server_close()
        for thread in threads:
            thread.join()


def _host(behaviour: Behaviour, place: tuple[str, int]) -> FickleHost:
    end = time.monotonic() + SHORTLY
    while True:
        try:
            return FickleHost(behaviour, place)
        except PermissionError:
            pytest.skip(f"needs root, to listen at port {place[1]}")
        except OSError as error:
            # Another test may be somebody who listens at all addresses, for a moment.
            if time.monotonic() > end:
                pytest.skip(f"nobody can listen at {place}: {error}")
            time.sleep(0.2)
