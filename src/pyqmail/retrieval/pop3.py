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
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from pyqmail.protocol.pop3 import Command
    from pyqmail.system.descriptor_stream import WaitingStream

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


def hold_session(stream: WaitingStream, maildir: str | None) -> None:
    """Give the client its mail, until it says QUIT or leaves."""
    try:
        session = _open(stream, maildir)
        if session is not None:
            session.hold()
    except OSError:
        pass  # the client is gone, or too slow; nothing is deleted then


def _open(stream: WaitingStream, maildir: str | None) -> _Session | None:
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
        names = [entry.name for entry in list_messages(".", now)]
    except OSError:
        stream.write(NO_SCAN)
        return None
    return _Session(stream, names)


def _size_of(name: str) -> int:
    try:
        return os.stat(name).st_size
    except OSError:
        return 0  # another reader was faster


def _uid_of(name: str) -> bytes:
    return os.fsencode(os.path.basename(name)).partition(b":")[0]


class _Session:
    def __init__(self, stream: WaitingStream, names: list[str]) -> None:
        self._stream = stream
        self._names = names
        self._drop = Maildrop([_size_of(name) for name in names], [_uid_of(name) for name in names])
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
        answer = _ANSWERS.get(command.verb)
        if answer is None:
            return UNIMPLEMENTED
        try:
            return answer(self._drop, command.argument)
        except Refused as refused:
            return refused.reply

    def _retrieve(self, argument: bytes) -> None:
        try:
            index, lines = self._drop.wanted(argument)
            descriptor = files.open_to_read(self._names[index])
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
        for index, name in enumerate(self._names):
            if index in self._drop.deleted:
                try:
                    files.unlink(name)
                except OSError:
                    replies += NOT_DELETED
            elif name.startswith("new/"):
                _mark_as_seen(name)
        return replies + OK


def _mark_as_seen(name: str) -> None:
    try:
        files.rename(name, "cur/" + name.removeprefix("new/") + ":2,")
    except OSError:
        return  # another reader was faster; or the next session tries again
