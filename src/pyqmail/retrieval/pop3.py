"""The second half of a POP3 session: a user reads his Maildir; qmail-pop3d(8).

What lies in the Maildir is looked at once, at the start. Nothing is changed before QUIT.
"""

from __future__ import annotations

import os
import time

from pyqmail.mailbox.listing import list_messages, remove_stale_drafts
from pyqmail.protocol.pop3 import (
    LINE_TOO_LONG,
    OK,
    CommandReader,
    Maildrop,
    MessageEncoder,
    Refused,
    error,
)
from pyqmail.protocol.pop3_login import COMMON_CAPABILITIES, capability_list
from pyqmail.retrieval.messages import Messages, file_uid, proper_uid
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from pyqmail.mailbox.listing import Entry
    from pyqmail.protocol.pop3 import Command
    from pyqmail.system.descriptor_stream import PatientStream

TIMEOUT: Final = 1200  # seconds for one read or write

NO_MAILDIR: Final = error(b"this user has no $HOME/Maildir")
NO_SCAN: Final = error(b"unable to scan $HOME/Maildir")
NO_MESSAGE: Final = error(b"unable to open that message")
NOT_DELETED: Final = error(b"unable to unlink all deleted messages")
UNIMPLEMENTED: Final = error(b"unimplemented")

# What the maildrop answers by itself; the others need the file system.
_ANSWERS: Final[Mapping[bytes, Callable[[Maildrop, bytes], bytes]]] = {
    b"stat": lambda drop, _: drop.stat(),
    b"list": Maildrop.list,
    b"uidl": Maildrop.uidl,
    b"dele": Maildrop.delete,
    b"rset": lambda drop, _: drop.reset(),
    b"last": lambda drop, _: drop.last(),
    b"noop": lambda _drop, _: OK,
}

_COMMAND_SIZE: Final = 4096  # bytes of commands that are read at once


_EVER: Final = 1 << 62  # later than any message


def hold_session(stream: PatientStream, maildir: str | None, *, extended: bool = False) -> None:
    """Give the client its mail, until it says QUIT or leaves.

    If it is `extended`, the session knows CAPA, sizes are what the client receives, STAT does
    not count what is deleted, unique ids are as RFC 1939 wants them, and mail
    shows as soon as it is there.
    """
    try:
        session = _open(stream, maildir, extended=extended)
        if session is not None:
            session.hold()
    except OSError:
        pass  # the client is gone, or too slow; nothing is deleted then


def _open(stream: PatientStream, maildir: str | None, *, extended: bool) -> _Session | None:
    """Enter the Maildir and look what is in it, or tell the client why not."""
    try:
        if maildir is None:
            raise FileNotFoundError
        os.chdir(maildir)
    except OSError:
        stream.write(NO_MAILDIR)
        return None
    now = int(time.time())
    remove_stale_drafts(".", now)
    try:
        entries = list_messages(".", _EVER if extended else now)
    except OSError:
        stream.write(NO_SCAN)
        return None
    return _extended_session(stream, entries) if extended else _original_session(stream, entries)


def _original_session(stream: PatientStream, entries: Sequence[Entry]) -> _Session:
    names = [entry.name for entry in entries]
    sizes = [entry.size for entry in entries]
    drop = Maildrop([file_uid(name) for name in names], sizes.__getitem__)
    return _Session(stream, Messages(names), drop, _ANSWERS)


def _extended_session(stream: PatientStream, entries: Sequence[Entry]) -> _Session:
    # A message that another client moved while we looked may have been seen in both folders.
    found = {proper_uid(entry.name): entry.name for entry in entries}
    messages = Messages(list(found.values()))
    drop = Maildrop(list(found), messages.wire_size, counts_deleted=False)
    return _Session(stream, messages, drop, {**_ANSWERS, b"capa": _tell_capabilities})


def _tell_capabilities(_drop: Maildrop, _argument: bytes) -> bytes:
    return capability_list(COMMON_CAPABILITIES)


class _Session:
    def __init__(
        self,
        stream: PatientStream,
        messages: Messages,
        drop: Maildrop,
        answers: Mapping[bytes, Callable[[Maildrop, bytes], bytes]],
    ) -> None:
        self._stream = stream
        self._messages = messages
        self._drop = drop
        self._answers = answers
        self._commands = CommandReader()
        self._over = False

    def hold(self) -> None:
        self._stream.write(OK)
        while not self._over:
            data = self._stream.read(_COMMAND_SIZE)
            if not data:
                return
            self._commands.feed(data)
            self._obey_all()

    def _obey_all(self) -> None:
        """Obey what has arrived; the answers to pipelined commands go out together."""
        replies = []
        while not self._over:
            try:
                command = self._commands.next_command()
            except ValueError:
                replies.append(error(LINE_TOO_LONG))
                continue
            if command is None:
                break
            if command.verb in (b"retr", b"top"):
                self._stream.write(b"".join(replies))
                replies = []
                self._retrieve(command.argument)
            else:
                replies.append(self._answer(command))
        self._stream.write(b"".join(replies))

    def _answer(self, command: Command) -> bytes:
        if command.verb == b"quit":
            return self._quit()
        answer = self._answers.get(command.verb)
        if answer is None:
            return UNIMPLEMENTED
        try:
            return answer(self._drop, command.argument)
        except Refused as refused:
            return refused.reply

    def _retrieve(self, argument: bytes) -> None:
        try:
            index, lines = self._drop.wanted(argument)
            descriptor = self._messages.open(index)
        except Refused as refused:
            self._stream.write(refused.reply)
            return
        except OSError:
            self._stream.write(NO_MESSAGE)
            return
        try:
            self._send_message(descriptor, lines)
        finally:
            os.close(descriptor)

    def _send_message(self, descriptor: int, lines: int | None) -> None:
        encoder = MessageEncoder(lines)
        text = OK
        while not encoder.finished and (data := os.read(descriptor, files.READ_SIZE)):
            self._stream.write(text + encoder.feed(data))
            text = b""
        self._stream.write(text + encoder.end())

    def _quit(self) -> bytes:
        """Remove what is deleted; what was new has been seen."""
        self._over = True
        replies = b""
        for index in range(len(self._messages.names)):
            if index not in self._drop.deleted:
                self._messages.mark_as_seen(index)
                continue
            try:
                self._messages.remove(index)
            except OSError:
                replies += NOT_DELETED
        return replies + OK
