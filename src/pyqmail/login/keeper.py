"""Passwords for a server that may not read them: a process of root's, asked over a socket.

tcpserver begins as root and becomes qmaild before it hears a word from the
network. What needs root to know passwords is forked before: the keeper. It hears
nothing but questions, `is this the password of this name`, and answers nothing but yes,
no, or later. Nobody can ask but those who have inherited the other end of its socket; when
all of them have ended, it ends.

A question is one packet: what descriptor 3 of checkpassword(8) gets, with the client's
address in the place of the timestamp. With it comes the socket for the answer, so
that many workers can ask at once and none can read what another is told.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

from pyqmail.errors import SUCCESS, TRANSIENT
from pyqmail.login.trial import Outcome, Verdict, attempt
from pyqmail.protocol.checkpassword import (
    MAX_SIZE,
    Credentials,
    Malformed,
    TooLarge,
    encode_credentials,
    parse_credentials,
)
from pyqmail.system.descriptors import receive_descriptors, send_descriptors
from pyqmail.system.processes import set_title, wait_for

if TYPE_CHECKING:
    from typing import NoReturn

_ANSWER: Final = struct.Struct(">cd")  # the verdict, and how long the client has to wait
_LETTERS: Final = {Verdict.ACCEPTED: b"K", Verdict.REFUSED: b"D", Verdict.UNDECIDED: b"Z"}
_VERDICTS: Final = {letter: verdict for verdict, letter in _LETTERS.items()}

_THREADS: Final = 2  # hashes at once; each takes 19 MiB
_PATIENCE: Final = 60  # seconds that somebody waits for an answer
_RESTART_PAUSE: Final = 1  # seconds; a keeper that dies at once must not make a storm
_QUESTIONS: Final = 3  # the descriptor that the keeper has them on
_MAX_DESCRIPTOR: Final = 4096  # whoever forks us leaves fewer open than that


class Keeper:
    """The end of the socket that asks. Processes may share it."""

    def __init__(self, questions: socket.socket) -> None:
        self._questions = questions

    async def ask(self, address: bytes | None, name: bytes, password: bytes) -> Outcome:
        """Ask whether `password` is that of `name`; `address` is as for `attempt()`."""
        try:
            question = encode_credentials(Credentials(name, password, address or b""))
        except (Malformed, TooLarge):
            return Outcome(Verdict.REFUSED)
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._hear(question)
            letter, wait = _ANSWER.unpack(answer)
            return Outcome(_VERDICTS[letter], wait)
        except (OSError, TimeoutError, struct.error, KeyError):
            # It is too busy, is dying, or is being replaced.
            return Outcome(Verdict.UNDECIDED)

    async def _hear(self, question: bytes) -> bytes:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                send_descriptors(self._questions, question, [theirs.fileno()])
            ours.settimeout(0)
            return await asyncio.get_running_loop().sock_recv(ours, _ANSWER.size)


def start_keeper(home: str) -> Keeper:
    """Fork the keeper of the passwords of `home`; the caller has one thread, and is root."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        # Whatever happens, this child never returns into its parent's code.
        try:
            _be_keeper(home, theirs)
        finally:
            os._exit(TRANSIENT)
    theirs.close()
    ours.settimeout(0)  # where it is busy, a client hears at once that it must come again
    return Keeper(ours)


def _be_keeper(home: str, questions: socket.socket) -> NoReturn:
    """Have questions answered, by another process when one dies, until nobody can ask."""
    _take_nothing_along(questions)
    set_title("checkpassword, for servers")
    while True:
        pid = os.fork()
        if pid == 0:
            try:
                _answer_all(home)
                os._exit(SUCCESS)
            finally:
                os._exit(TRANSIENT)
        if wait_for(pid) == SUCCESS:
            os._exit(SUCCESS)
        time.sleep(_RESTART_PAUSE)


def _take_nothing_along(questions: socket.socket) -> None:
    """Keep the questions and the log; and what root leaves behind shall be nobody's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.dup2(questions.fileno(), _QUESTIONS)
    os.closerange(_QUESTIONS + 1, _MAX_DESCRIPTOR)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # there are passwords in our memory


def _answer_all(home: str) -> None:
    with socket.socket(fileno=_QUESTIONS) as questions:
        threads = [
            threading.Thread(target=_answer, args=(home, questions)) for _ in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _answer(home: str, questions: socket.socket) -> None:
    """Answer one question after the other, until nobody is left who could ask."""
    while True:
        question, descriptors = receive_descriptors(questions, MAX_SIZE + 1, 1)
        if not question:
            return
        for descriptor in descriptors:
            with socket.socket(fileno=descriptor) as asker:
                outcome = _judge(home, question)
                try:
                    asker.sendall(_ANSWER.pack(_LETTERS[outcome.verdict], outcome.wait))
                except OSError:
                    continue  # nobody waits any more


def _judge(home: str, question: bytes) -> Outcome:
    try:
        asked = parse_credentials(question)
    except (Malformed, TooLarge):
        return Outcome(Verdict.REFUSED)
    return attempt(home, asked.timestamp or None, asked.name, asked.password)
