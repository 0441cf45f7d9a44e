"""Lines of users/assign, read and written, with users/cdb in step.

What the administrator wrote stays where it is.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import write_cdb
from pyqmail.control.files import read_text
from pyqmail.errors import PermanentFailure
from pyqmail.system import files
from pyqmail.system.locks import lock_exclusively

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODE: Final = 0o644
_END: Final = b".\n"


def lines_for(local: bytes, user: bytes, uid: int, gid: int, folder: str) -> list[bytes]:
    """Return the lines by which mail for `local` and `local-…` is `user`'s, in `folder`."""
    whose = b":%s:%d:%d:%s:" % (user, uid, gid, os.fsencode(folder))
    return [b"=" + local + whose + b"::", b"+" + local + b"-" + whose + b"-::"]


def read_lines(home: str) -> tuple[list[bytes], bytes]:
    """Return the lines before the last one, and that with what follows it. Raises ControlError."""
    text = read_text(home, "users/assign")
    if not text:
        return [], _END
    parse_assign(text)  # a broken file is not made worse
    lines = text.split(b"\n")
    end = next(number for number, line in enumerate(lines) if line.startswith(b"."))
    return lines[:end], b"\n".join(lines[end:])


def write_lines(home: str, lines: list[bytes], end: bytes) -> None:
    """Make `lines` and `end` the file, and users/cdb what it says."""
    text = b"".join(line + b"\n" for line in lines) + end
    files.replace_durably(os.path.join(home, "users/assign"), text, _MODE)
    write_cdb(os.path.join(home, "users/cdb"), parse_assign(text))


@contextmanager
def changing(home: str) -> Iterator[None]:
    """Keep two who change users at once apart: the second's file would lose the first's line."""
    folder = os.path.join(home, "users")
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        text = os.fsencode(f"there is no {folder}: run qmailctl setup")
        raise PermanentFailure(text) from error
    try:
        lock_exclusively(descriptor)
        yield
    finally:
        os.close(descriptor)
