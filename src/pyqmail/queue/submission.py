"""The work of qmail-queue: message on one descriptor, envelope on another; qmail-queue(8).

Where qmail-queued listens it does the work; else whoever owns the queue, or is
root and becomes its owner, writes into it himself.
"""

from __future__ import annotations

import os

from pyqmail.control.roles import roles_of
from pyqmail.queue import layout, outcome
from pyqmail.queue.envelope_file import EnvelopeParser
from pyqmail.queue.frames import DESCRIPTORS, FrameReader, encode_frame, parse_result, socket_path
from pyqmail.queue.intake import own_intake
from pyqmail.queue.outcome import QueueFailure
from pyqmail.system import alarms, files
from pyqmail.system.accounts import drop_to
from pyqmail.system.descriptors import connect, send_descriptors
from pyqmail.system.standard_input import occupy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from pyqmail.control.roles import Roles
    from pyqmail.queue.intake import FileDraft

# Seconds that a message may take: 24 hours. Must be less than the 36 hours
# after which qmail-send removes what was never accepted.
TIME_LIMIT: Final = 86400

UMASK: Final = 0o033

_ANSWER_SIZE: Final = 64  # bytes; an answer has fewer


def submit(home: str, message: int = 0, envelope: int = 1) -> int:
    """Queue what two descriptors give, and return the exit code of qmail-queue."""
    for descriptor in (message, envelope):
        occupy(descriptor)
    code = through_daemon(home, message, envelope)
    return directly(home, message, envelope) if code is None else code


def through_daemon(home: str, message: int, envelope: int) -> int | None:
    """Let qmail-queued read the descriptors and return its exit code; None if there is none."""
    try:
        connection = connect(socket_path(home))
    except OSError:
        return None
    try:
        send_descriptors(connection, encode_frame(0, DESCRIPTORS, b""), (message, envelope))
        return _await_answer(connection.recv)
    except (OSError, ValueError):
        return outcome.CONNECTION_BROKE
    finally:
        connection.close()


def _await_answer(receive: Callable[[int], bytes]) -> int:
    reader = FrameReader()
    answer = b""
    while data := receive(_ANSWER_SIZE):
        reader.feed(data)
        while (piece := reader.next_piece()) is not None:
            answer += piece[2]
            if piece[3]:
                return parse_result(answer)[0]
    return outcome.CONNECTION_BROKE


def directly(home: str, message: int, envelope: int) -> int:
    """Write into the queue, as its owner, and return the exit code of qmail-queue.

    The process is the owner of the queue for good afterwards, and ignores
    TERM: it is meant to end now.
    """
    uid = os.getuid()
    os.umask(UMASK)
    alarms.ignore_interruptions()
    try:
        roles = _enter(home)
        intake = own_intake(home, roles)
        draft = intake.begin(uid, os.getpid())
        _fill(draft, message, envelope)
        (failure,) = intake.accept([draft])
    except QueueFailure as failed:
        failure = failed
    except MemoryError:
        return outcome.OUT_OF_MEMORY
    return failure.code if failure else 0


def _enter(home: str) -> Roles:
    """Become the owner of the queue, if we are root; return the roles of the home."""
    if not os.path.isdir(home):
        raise QueueFailure(outcome.NO_HOME)
    roles = roles_of(home)
    queue = layout.queue_directory(home)
    try:
        owner = os.stat(queue)
    except OSError as error:
        raise QueueFailure(outcome.NO_QUEUE) from error
    if os.geteuid() == 0 and owner.st_uid != 0:
        drop_to(owner.st_uid, owner.st_gid, [])
    if not os.access(queue, os.X_OK):
        raise QueueFailure(outcome.NO_QUEUE)
    return roles


def _fill(draft: FileDraft, message: int, envelope: int) -> None:
    """Copy both descriptors into the draft; whatever stops that, nothing is left of it."""
    try:
        with alarms.Interruptible(TIME_LIMIT):
            copy(message, envelope, draft)
    except TimeoutError as error:
        draft.abandon()
        raise QueueFailure(outcome.TIMEOUT) from error
    except alarms.Terminated:
        draft.abandon()
        alarms.die_of_term()
    except BaseException:
        draft.abandon()
        raise


def copy(message: int, envelope: int, draft: FileDraft) -> None:
    """Read both descriptors into a draft; raise QueueFailure."""
    while data := _read(message):
        draft.write(data)
    parser = EnvelopeParser()
    while not parser.finished:
        data = _read(envelope)
        if not data:
            raise QueueFailure(outcome.READ_ERROR)
        draft.write_envelope(parser.feed(data))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, files.READ_SIZE)
    except OSError as error:
        raise QueueFailure(outcome.READ_ERROR) from error
