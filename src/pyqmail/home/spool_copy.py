"""The part of moving a mailbox that is done in its user's home, as that user.

Each step can be interrupted and done again: what is there already is not copied twice.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from pyqmail.mailbox.conversion import from_line
from pyqmail.mailbox.listing import list_messages
from pyqmail.mailbox.mbox import LOCK_TIMEOUT, MBOX_MODE, entry_pieces
from pyqmail.mailbox.reading import letters
from pyqmail.system import files
from pyqmail.system.locks import lock_exclusively

if TYPE_CHECKING:
    from pyqmail.mailbox.reading import Letter

_FOLDER_MODE: Final = 0o700
_MARK: Final = ".before-move"  # beside the mailbox: how long it was before we began
_ALWAYS: Final = 2**62  # later than any letter has come
_DATE: Final = "%a %b %d %H:%M:%S %Y"


def copy_into(source: int, target: str) -> bytes:
    """Have all mail of the open mbox `source` in `target`, synced: a Maildir, or an mbox."""
    if _is_maildir(target):
        _copy_letters(source, target)
    else:
        _append(source, target)
    return b""


def copy_rest(source: int, target: str, copied: int) -> bytes:
    """Have in `target` what the mbox got after its first `copied` bytes."""
    if _is_maildir(target):
        return copy_into(source, target)
    mailbox = files.open_to_append(target, MBOX_MODE)
    try:
        lock_exclusively(mailbox, LOCK_TIMEOUT)
        _copy_bytes(source, copied, mailbox)
    finally:
        os.close(mailbox)
    return b""


def forget(target: str) -> bytes:
    """Remove what was written down to be able to go on."""
    files.discard(target + _MARK)
    return b""


def copy_back(target: str, descriptor: int) -> bytes:
    """Write all mail of `target` into the open file, as an mbox, synced; return what that was.

    What it was goes to empty().
    """
    if _is_maildir(target):
        names = _write_letters(target, descriptor, set())
        return b"\0".join(map(os.fsencode, names))
    with open(target, "rb") as mailbox:
        lock_exclusively(mailbox.fileno(), LOCK_TIMEOUT)
        size = _copy_bytes(mailbox.fileno(), 0, descriptor)
    return b"%d" % size


def empty(target: str, descriptor: int, copied: bytes) -> bytes:
    """Add what has come into `target` since copy_back(), and leave nothing in it."""
    if _is_maildir(target):
        names = {os.fsdecode(name) for name in copied.split(b"\0") if name}
        for name in (*names, *_write_letters(target, descriptor, names)):
            files.discard(os.path.join(target, name))
        return b""
    mailbox = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        lock_exclusively(mailbox, LOCK_TIMEOUT)
        _copy_bytes(mailbox, int(copied), descriptor)
        files.truncate(mailbox, 0)
        files.sync(mailbox)
    finally:
        os.close(mailbox)
    return b""


def _is_maildir(target: str) -> bool:
    return os.path.basename(target) == "Maildir"


# To and from an mbox.


def _append(source: int, target: str) -> None:
    mailbox = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MBOX_MODE)
    try:
        lock_exclusively(mailbox, LOCK_TIMEOUT)
        if not _has_all(mailbox, source, _length_before(mailbox, target)):
            _copy_bytes(source, 0, mailbox)
        files.sync_directory(os.path.dirname(target))
    finally:
        os.close(mailbox)


def _length_before(mailbox: int, target: str) -> int:
    """Return how long the mailbox was before the first attempt; remember it at the first."""
    length = os.fstat(mailbox).st_size
    try:
        before = int(files.read_all(target + _MARK))
    except (FileNotFoundError, ValueError):
        before = length + 1
    if before > length:  # no mark, or one that was forgotten here
        files.replace_durably(target + _MARK, b"%d" % length, MBOX_MODE)
        return length
    return before


def _has_all(mailbox: int, source: int, before: int) -> bool:
    """Has the mailbox all of the source already? The half copy of another attempt is cut off."""
    wanted, found = os.fstat(source).st_size, os.fstat(mailbox).st_size - before
    common = min(wanted, found)
    if not _are_same(source, mailbox, before, common):
        return False  # something else was delivered: nobody can tell a half copy from a letter
    if found >= wanted:
        return True
    files.truncate(mailbox, before)
    return False


def _are_same(source: int, mailbox: int, before: int, length: int) -> bool:
    position = 0
    while position < length:
        size = min(files.READ_SIZE, length - position)
        piece = os.pread(source, size, position)
        if not piece or piece != os.pread(mailbox, len(piece), before + position):
            return False
        position += len(piece)
    return True


def _copy_bytes(source: int, position: int, descriptor: int) -> int:
    """Copy all from `position` on, synced; return where it ends."""
    while piece := os.pread(source, files.READ_SIZE, position):
        files.write(descriptor, piece)
        position += len(piece)
    files.sync(descriptor)
    return position


# To and from a Maildir.


def _copy_letters(source: int, maildir: str) -> None:
    for folder in (maildir, *(os.path.join(maildir, part) for part in ("tmp", "new", "cur"))):
        if not os.path.isdir(folder):
            files.make_directory(folder, _FOLDER_MODE)
    if os.fstat(source).st_size == 0:
        return
    present = {name.partition(":")[0] for name in _names_in(maildir)}
    seen: Counter[str] = Counter()
    with mmap.mmap(source, 0, access=mmap.ACCESS_READ) as mbox:
        for letter in letters(mbox):
            name = _name_of(letter, seen)
            if name not in present:
                _write_letter(maildir, name, letter)
    for folder in ("new", "cur"):
        files.sync_directory(os.path.join(maildir, folder))


def _names_in(maildir: str) -> list[str]:
    return [name for part in ("new", "cur") for name in os.listdir(os.path.join(maildir, part))]


def _name_of(letter: Letter, seen: Counter[str]) -> str:
    """Return a name that the same letter of the same mbox has whenever it is moved."""
    digest = hashlib.sha256(letter.text).hexdigest()[:20]
    seen[digest] += 1
    host = socket.gethostname().replace("/", "\\057").replace(":", "\\072")
    return f"{_date_of(letter)}.S{digest}Q{seen[digest]}.{host}"


def _date_of(letter: Letter) -> int:
    """Return when the letter came, by its From_ line; 0 if that does not say it."""
    words = letter.from_line.decode("latin-1").split()
    try:
        return int(time.mktime(time.strptime(" ".join(words[-5:]), _DATE)))
    except (ValueError, OverflowError):
        return 0


def _write_letter(maildir: str, name: str, letter: Letter) -> None:
    draft = os.path.join(maildir, "tmp", name)
    files.discard(draft)
    files.write_new_file(draft, letter.text, MBOX_MODE)
    if date := _date_of(letter):
        files.set_times(draft, date)
    place = f"cur/{name}:2,S" if letter.seen else f"new/{name}"
    files.rename(draft, os.path.join(maildir, place))


def _write_letters(maildir: str, descriptor: int, known: set[str]) -> list[str]:
    """Write the letters that are not `known` as an mbox, synced; return their names."""
    names = []
    for entry in list_messages(maildir, _ALWAYS):
        name = entry.name
        if name in known:
            continue
        text = files.read_all(os.path.join(maildir, name))
        first = text[: text.find(b"\n") + 1]
        files.write(descriptor, from_line(first, entry.time) + b"".join(entry_pieces([text])))
        names.append(name)
    files.sync(descriptor)
    return names
