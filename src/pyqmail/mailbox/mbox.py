"""Append a message to an mbox file; mbox(5).

The format is mboxrd: every line of `>`s and `From ` gets one `>` more, so that
a reader can take it away again and nothing is lost.

The texts of the failures are those of qmail-local(8).
"""

from __future__ import annotations

import os

from pyqmail.errors import TransientFailure
from pyqmail.system import files
from pyqmail.system.errnos import error_text
from pyqmail.system.locks import lock_exclusively

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

MBOX_MODE: Final = 0o600
LOCK_TIMEOUT: Final = 30  # seconds; the original's alarm

LOCKED: Final = b"File has been locked for 30 seconds straight. (#4.3.0)"

_FROM: Final = b"From "
_QUOTE: Final = ord(">")
_LINE_FEED: Final = ord("\n")


def deliver(mbox: str, head: bytes, message: int, lock_timeout: float = LOCK_TIMEOUT) -> None:
    """Append `head` and what is left to read of descriptor `message` to `mbox`.

    `head` begins with the From_ line. On return the entry survives a power
    cut. On failure the file is as it was, unless somebody else's failure to
    write prevents even that.
    """
    name = os.fsencode(mbox)
    try:
        descriptor = files.open_to_append(mbox, MBOX_MODE)
    except OSError as error:
        text = b"Unable to open %b: %b. (#4.2.1)" % (name, error_text(error))
        raise TransientFailure(text) from error
    try:
        locked = _lock(descriptor, lock_timeout)
        end = _end(descriptor)
        try:
            _append(descriptor, head, message)
            if end == 0:
                files.sync_directory(os.path.dirname(mbox) or ".")
        except OSError as error:
            _cut(descriptor, end, locked)
            text = b"Unable to write %b: %b. (#4.3.0)" % (name, error_text(error))
            raise TransientFailure(text) from error
        except TransientFailure:
            _cut(descriptor, end, locked)
            raise
    finally:
        os.close(descriptor)


class Quoter:
    """Quotes the lines of a message for an mbox, piece by piece.

    A line may be longer than memory: of it, at most four bytes are kept.
    """

    def __init__(self) -> None:
        # Is everything written so far, apart from `>`s at its end, whole lines?
        self._may_begin = True
        self._held = b""  # the beginning of `From `, or nothing

    def feed(self, piece: bytes) -> bytes:
        """Return what can be written now that `piece` has been read."""
        text = self._held + piece
        self._held = _unfinished_from(text)
        return self._quote(text[: len(text) - len(self._held)])

    def finish(self) -> bytes:
        """Return the rest of the message."""
        text, self._held = self._held, b""
        return text

    def _quote(self, text: bytes) -> bytes:
        pieces = []
        done = 0
        position = text.find(_FROM)
        while position >= 0:
            if self._is_line_start(text, position):
                # One more `>` behind those that are there is one more in front.
                pieces.append(text[done:position])
                pieces.append(b">")
                done = position
            position = text.find(_FROM, position + len(_FROM))
        pieces.append(text[done:])
        self._may_begin = self._is_line_start(text, len(text))
        return b"".join(pieces)

    def _is_line_start(self, text: bytes, position: int) -> bool:
        while position and text[position - 1] == _QUOTE:
            position -= 1
        return text[position - 1] == _LINE_FEED if position else self._may_begin


def _unfinished_from(text: bytes) -> bytes:
    """Return the end of `text` that may be the beginning of `From `."""
    for length in range(len(_FROM) - 1, 0, -1):
        if text.endswith(_FROM[:length]):
            return _FROM[:length]
    return b""


def _lock(descriptor: int, timeout: float) -> bool:
    try:
        lock_exclusively(descriptor, timeout)
    except TimeoutError as error:
        raise TransientFailure(LOCKED) from error
    except OSError:
        # A file system without locks: the original delivers all the same, but
        # does not cut on failure, since somebody else may be appending.
        return False
    return True


def _end(descriptor: int) -> int:
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    except OSError:
        return -1  # a FIFO or a terminal has no end


def _cut(descriptor: int, end: int, locked: bool) -> None:  # noqa: FBT001  one place, one meaning
    if not locked or end < 0:
        return
    try:  # noqa: SIM105  contextlib costs start-up time
        files.truncate(descriptor, end)
    except OSError:
        pass  # the failure that brought us here is the one to report


def _append(descriptor: int, head: bytes, message: int) -> None:
    gathered = [head]
    size = len(head)
    for piece in entry_pieces(_pieces_of(message)):
        gathered.append(piece)
        size += len(piece)
        # Not at every piece: what is written at once is there whole or not at all
        # if the process is killed, and most messages are smaller than this.
        if size > 16 * files.READ_SIZE:
            files.write(descriptor, b"".join(gathered))
            gathered, size = [], 0
    files.write(descriptor, b"".join(gathered))
    files.sync(descriptor)


def entry_pieces(message: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a message as they stand in an mbox, and the empty line that ends it."""
    quoter = Quoter()
    last = b"\n"
    for piece in message:
        yield quoter.feed(piece)
        last = piece[-1:] or last
    yield quoter.finish() + (b"\n" if last == b"\n" else b"\n\n")


def _pieces_of(message: int) -> Iterator[bytes]:
    try:
        while piece := os.read(message, files.READ_SIZE):
            yield piece
    except OSError as error:
        text = b"Unable to read message: %b. (#4.3.0)" % error_text(error)
        raise TransientFailure(text) from error
