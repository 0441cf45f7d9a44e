"""Ask the password database whose mail a local part is, without waiting for it.

A directory service may be slow, and to look at a home directory may take for
ever. So qmail-lspawn asks processes that run as qmailp. One serves all
questions; as soon as it has not answered for a second, another is forked and
gets those that wait behind the slow one, unless they are for the same user: a home that hangs
takes one process and no more. When it has hung for long, mail for its user is deferred at once, so
that it does not take all the slots of others.
"""

from __future__ import annotations

import os
import selectors
import struct
import time

from pyqmail.control.launchers import is_ours
from pyqmail.delivery.offspring import Offspring
from pyqmail.delivery.reports import CANNOT_RUN_GETPW, TEMPORARY_TROUBLE
from pyqmail.delivery.users import (
    BREAK,
    HOME_UNREACHABLE,
    NoOwner,
    decode_owner,
    encode_owner,
    find_by_password,
)
from pyqmail.errors import SUCCESS
from pyqmail.system import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Final

    from pyqmail.control.assign import Assignment
    from pyqmail.control.roles import Roles

    # Called with the owner, or with the exit code that says why there is none.
    Answer = Callable[[Assignment | int], None]

PATIENCE: Final = 1.0  # seconds without an answer, after which another process is asked
LAST_PATIENCE: Final = 30.0  # seconds without an answer, after which none is expected
MAX_PROCESSES: Final = 20
MAX_IDLE: Final = 10.0  # seconds
_MAX_PACKET: Final = 65536

_QUESTION: Final = struct.Struct(">I")
_REPLY: Final = struct.Struct(">IB")


class Lookups:
    """Finds owners by the rule of qmail-getpw. Call `tick()` now and then."""

    def __init__(self, home: str, roles: Roles, selector: selectors.BaseSelector) -> None:
        self._home = home
        self._roles = roles
        # Now, and not when the first question comes: a missing account stops the start.
        self._account = (roles.qmailp.uid, roles.nofiles_group)
        self._selector = selector
        self._clerks: list[_Clerk] = []
        self._dismissed: list[Offspring] = []
        self._numbers = 0

    @property
    def busy(self) -> bool:
        """Is there anything that time alone could change?"""
        return bool(self._clerks or self._dismissed)

    def ask(self, local: bytes, answer: Answer) -> None:
        """Call `answer`, sooner or later, with the owner of `local` or a failure."""
        self._numbers = (self._numbers + 1) & 0xFFFFFFFF
        question = _Question(self._numbers, local, answer)
        clerk = self._choose(question.head)
        if clerk.hangs(time.monotonic()) and clerk.head == question.head:
            answer(HOME_UNREACHABLE)
            return
        try:
            clerk.ask(question)
        except OSError:
            answer(TEMPORARY_TROUBLE)

    def tick(self) -> None:
        """Give waiting questions to others; let idle processes go."""
        now = time.monotonic()
        self._dismissed = [offspring for offspring in self._dismissed if not offspring.reap()]
        for clerk in list(self._clerks):
            if clerk.is_stuck(now):
                for question in clerk.give_up_waiting():
                    self.ask(question.local, question.answer)
                if clerk.hangs(now):
                    for question in clerk.give_up_all():
                        question.answer(HOME_UNREACHABLE)
            elif not clerk.questions and now - clerk.since > MAX_IDLE:
                self._remove(clerk)
                clerk.offspring.dismiss()
                self._dismissed.append(clerk.offspring)

    def _choose(self, head: bytes) -> _Clerk:
        now = time.monotonic()
        stuck = [clerk for clerk in self._clerks if clerk.is_stuck(now)]
        for clerk in stuck:
            if clerk.head == head:
                return clerk
        for clerk in self._clerks:
            if clerk not in stuck:
                return clerk
        if len(self._clerks) >= MAX_PROCESSES:
            return min(self._clerks, key=lambda clerk: len(clerk.questions))
        return self._engage()

    def _engage(self) -> _Clerk:
        home, roles = self._home, self._roles
        offspring = Offspring(
            "qmail-getpw", *self._account, lambda connection: _serve(connection, home, roles)
        )
        clerk = _Clerk(offspring)
        self._clerks.append(clerk)
        self._selector.register(
            offspring.connection, selectors.EVENT_READ, lambda _events: self._hear(clerk)
        )
        return clerk

    def _hear(self, clerk: _Clerk) -> None:
        try:
            packet = clerk.offspring.connection.recv(_MAX_PACKET)
        except ConnectionError:
            packet = b""
        if packet:
            clerk.hear(packet)
            return
        self._remove(clerk)
        clerk.offspring.bury()
        for question in clerk.questions.values():
            question.answer(TEMPORARY_TROUBLE)

    def _remove(self, clerk: _Clerk) -> None:
        self._selector.unregister(clerk.offspring.connection)
        self._clerks.remove(clerk)


class _Question:
    __slots__ = ("answer", "head", "local", "number")

    def __init__(self, number: int, local: bytes, answer: Answer) -> None:
        self.number = number
        self.local = local
        self.head = local.partition(BREAK)[0].lower()  # the user, as far as a name tells
        self.answer = answer


class _Clerk:
    """A process that answers questions one after the other."""

    def __init__(self, offspring: Offspring) -> None:
        self.offspring = offspring
        self.questions: dict[int, _Question] = {}  # by number, the oldest first
        self.since = time.monotonic()  # when it last began or ended something

    def is_stuck(self, now: float) -> bool:
        return bool(self.questions) and now - self.since > PATIENCE

    def hangs(self, now: float) -> bool:
        return bool(self.questions) and now - self.since > LAST_PATIENCE

    @property
    def head(self) -> bytes:
        """Whom the question that it works at is about."""
        return next(iter(self.questions.values())).head

    def ask(self, question: _Question) -> None:
        self.offspring.connection.send(_QUESTION.pack(question.number) + question.local)
        if not self.questions:
            self.since = time.monotonic()
        self.questions[question.number] = question

    def hear(self, packet: bytes) -> None:
        self.since = time.monotonic()
        number, code = _REPLY.unpack_from(packet)
        question = self.questions.pop(number, None)
        if question is None:
            return  # somebody else has been asked in the meantime
        owner = decode_owner(packet[_REPLY.size :])
        question.answer(owner if code == SUCCESS and owner else code or TEMPORARY_TROUBLE)

    def give_up_waiting(self) -> list[_Question]:
        """Return all questions about other users than the one that it works at."""
        head, questions = self.head, self.questions
        self.questions = {number: each for number, each in questions.items() if each.head == head}
        return [each for each in questions.values() if each.head != head]

    def give_up_all(self) -> list[_Question]:
        """Return all questions, and wait only for the end of what it works at."""
        questions = [*self.questions.values()]
        first = questions[0]
        self.questions = {first.number: _Question(first.number, first.local, _wait_no_more)}
        return questions


def _wait_no_more(_answer: Assignment | int) -> None:
    """Hear what nobody wants to know any more."""


def _serve(connection: socket.socket, home: str, roles: Roles) -> None:
    connection.settimeout(None)
    while packet := connection.recv(_MAX_PACKET):
        (number,) = _QUESTION.unpack_from(packet)
        code, text = _look_up(packet[_QUESTION.size :], home, roles)
        connection.send(_REPLY.pack(number, code) + text)


def _look_up(local: bytes, home: str, roles: Roles) -> tuple[int, bytes]:
    if not is_ours(home, "qmail-getpw"):
        return _run_getpw(local, home)
    try:
        return SUCCESS, encode_owner(find_by_password(local, roles))
    except NoOwner as failure:
        return failure.exit_code, b""


def _run_getpw(local: bytes, home: str) -> tuple[int, bytes]:
    """Ask the qmail-getpw that somebody put in the place of ours."""
    try:
        os.chdir(home)
        status, text = processes.output_of(
            b"bin/qmail-getpw", [b"bin/qmail-getpw", local], os.environb
        )
    except OSError:
        return CANNOT_RUN_GETPW, b""
    if processes.crashed(status):
        return TEMPORARY_TROUBLE, b""
    return processes.exit_code(status), text
