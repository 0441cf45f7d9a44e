"""Move the messages of a Maildir into an mbox; maildir2mbox(1)."""

from __future__ import annotations

import os
from itertools import chain

from pyqmail.errors import TransientFailure
from pyqmail.mailbox.listing import list_messages, remove_stale_drafts
from pyqmail.mailbox.mbox import MBOX_MODE, entry_pieces
from pyqmail.message.date import ctime_date
from pyqmail.system import files
from pyqmail.system.errnos import error_text
from pyqmail.system.locks import lock_exclusively

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from pyqmail.mailbox.listing import Entry

_RETURN_PATH: Final = b"Return-Path: <"
_NO_BLANKS: Final = bytes.maketrans(b" \t", b"--")


def move_to_mbox(maildir: str, mbox: str, temporary: str, now: int) -> list[bytes]:
    """Append the messages of `maildir` to `mbox`, then remove them; return warnings.

    The Maildir becomes the current directory, to which the other names are
    relative. `temporary` must be on the file system of `mbox`, since it
    becomes `mbox` in one step. A failure, and a power cut, leave every message
    in the Maildir or in the mbox, at worst in both.
    """
    enter_maildir(maildir)
    entries = scan(now, ("new", "cur"))
    if not entries:
        return []
    lock = _open_and_lock(mbox)
    try:
        _write_copy(mbox, temporary, entries)
        _replace(mbox, temporary)
    finally:
        os.close(lock)
    return list(_remove(entries))


def enter_maildir(maildir: str) -> None:
    """Make the Maildir the current directory."""
    try:
        os.chdir(maildir)
    except OSError as error:
        raise _failure(b"unable to chdir to %b: %b", maildir, error) from error


def scan(now: int, folders: tuple[str, ...]) -> list[Entry]:
    """Clean tmp/ of the current directory and return the messages in `folders`."""
    remove_stale_drafts(".", now)
    try:
        return list_messages(".", now, folders)
    except OSError as error:
        folder = os.path.basename(error.filename)
        raise _failure(b"unable to scan $MAILDIR/%b: %b", folder, error) from error


def from_line(first_line: bytes, time: int) -> bytes:
    """Return the line that begins the entry of a message whose first line is `first_line`."""
    return b"From %b %b\n" % (_sender_in(first_line), ctime_date(time))


def _sender_in(first_line: bytes) -> bytes:
    if not (first_line.startswith(_RETURN_PATH) and first_line.endswith(b"\n")):
        return b"XXX"
    sender = first_line[len(_RETURN_PATH) : -len(b">\n")]
    if not sender or sender.startswith(b">"):
        return b"MAILER-DAEMON"
    return sender.translate(_NO_BLANKS)


def _open_and_lock(mbox: str) -> int:
    """Return a descriptor that locks the file which is `mbox` now."""
    while True:
        try:
            descriptor = files.open_to_append(mbox, MBOX_MODE)
            lock_exclusively(descriptor)
            # While we waited, another of us may have put a new file there: then
            # our lock is on one that nobody will ever read.
            is_current = os.path.samestat(os.fstat(descriptor), os.stat(mbox))
        except OSError as error:
            raise _failure(b"unable to lock %b: %b", mbox, error) from error
        if is_current:
            return descriptor
        os.close(descriptor)


def _write_copy(mbox: str, temporary: str, entries: list[Entry]) -> None:
    """Make `temporary` a synced file of the contents of `mbox` and the messages."""
    try:
        files.discard(temporary)
        descriptor = files.create_exclusively(temporary, MBOX_MODE)
    except OSError as error:
        raise _failure(b"unable to create %b: %b", temporary, error) from error
    try:
        for piece in _contents(mbox, entries):
            files.write(descriptor, piece)
        files.sync(descriptor)
    except OSError as error:
        raise _failure(b"unable to write to %b: %b", temporary, error) from error
    finally:
        os.close(descriptor)


def _contents(mbox: str, entries: list[Entry]) -> Iterator[bytes]:
    yield from _pieces_of(mbox, mbox)
    for entry in entries:
        message = _pieces_of(entry.name, "$MAILDIR/" + entry.name)
        first = next(message, b"")
        # A line longer than a piece names no sender; nor is it a Return-Path.
        line = first[: first.find(b"\n") + 1]
        yield from_line(line, entry.time)
        yield from entry_pieces(chain([first], message))


def _pieces_of(path: str, shown: str) -> Iterator[bytes]:
    try:
        descriptor = files.open_to_read(path)
        try:
            while piece := os.read(descriptor, files.READ_SIZE):
                yield piece
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failure(b"unable to read %b: %b", shown, error) from error


def _replace(mbox: str, temporary: str) -> None:
    try:
        files.rename(temporary, mbox)
        files.sync_directory(os.path.dirname(mbox) or ".")
    except OSError as error:
        form = b"unable to move %b to " + os.fsencode(mbox).replace(b"%", b"%%") + b": %b"
        raise _failure(form, temporary, error) from error


def _remove(entries: list[Entry]) -> Iterator[bytes]:
    """Remove the messages from the Maildir; yield a warning for each that stays."""
    for entry in entries:
        try:
            files.unlink(entry.name)
        except OSError as error:
            yield b"$MAILDIR/%b will be delivered twice; unable to unlink: %b" % (
                os.fsencode(entry.name),
                error_text(error),
            )


def _failure(form: bytes, path: str, error: OSError) -> TransientFailure:
    return TransientFailure(form % (os.fsencode(path), error_text(error)))
