"""users/assign, which says whose mail is whose, and users/cdb, what is looked up in.

A line is `=LOCAL:USER:UID:GID:HOME:DASH:EXT:` for exactly one local part, or
`+PREFIX:…` for all that begin with it, the rest of the local part being added
to EXT. A line that begins with `.` is the last. Of several lines with one
name the first wins.

In the database a key is `!` and the name in lower case, for an exact name with
a NUL after it. The record with the empty key lists every byte that a prefix
ends with, so that a search tries only prefixes that could be there.
"""

from __future__ import annotations

import os

from pyqmail.control.cdb import Cdb, CdbError
from pyqmail.control.files import ControlError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PATH: Final = "users/assign"
_FIELDS: Final = 6  # user, uid, gid, home, dash, ext
_ID_MASK: Final = 0xFFFFFFFF  # a user id has 32 bits; what is cut off must not hide a 0


class Assignment:
    """Whose a local part is, and what of it is the extension."""

    __slots__ = ("dash", "ext", "gid", "home", "uid", "user")

    def __init__(  # noqa: PLR0913, PLR0917  the six fields of a line
        self, user: bytes, uid: int, gid: int, home: bytes, dash: bytes, ext: bytes
    ) -> None:
        self.user = user
        self.uid = uid
        self.gid = gid
        self.home = home
        self.dash = dash
        self.ext = ext

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Assignment) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Assignment{self._key()}"

    def _key(self) -> tuple[bytes, int, int, bytes, bytes, bytes]:
        return self.user, self.uid, self.gid, self.home, self.dash, self.ext


def parse_assign(text: bytes) -> list[tuple[bytes, bytes]]:
    """Return the records of users/cdb for the text of users/assign.

    Raise ControlError for the first line that is not as it should be. The
    numbers are not looked at: a user id that is none is refused at delivery.
    """
    records = []
    endings = b""
    lines = text.split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.startswith(b"."):
            break
        if number == len(lines):
            raise ControlError(_PATH, number, b'the last line, a ".", is missing')
        name, value = _parse_line(line, number)
        if line.startswith(b"+"):
            records.append((b"!" + name.lower(), value))
            if name[-1:] not in endings:
                endings += name[-1:]
        else:
            records.append((b"!" + name.lower() + b"\0", value))
    records.append((b"", endings))
    return records


def _parse_line(line: bytes, number: int) -> tuple[bytes, bytes]:
    """Return name and value of one line; its first byte is not looked at."""
    if b"\0" in line:
        raise ControlError(_PATH, number, b"a NUL byte")
    if line.startswith(b":"):
        raise ControlError(_PATH, number, b"begins with a colon")
    name, *fields = line.split(b":")
    if len(fields) <= _FIELDS:
        raise ControlError(_PATH, number, b"fewer than seven colons")
    return name[1:], b"\0".join(fields[:_FIELDS])


def find_owner(home: str, local: bytes) -> Assignment | None:
    """Return whose `local` is by users/cdb; None if no line covers it, or there is no users/cdb.

    Raise CdbError if the database cannot be read.
    """
    try:
        database = Cdb(os.path.join(home, "users/cdb"))
    except FileNotFoundError:
        return None
    try:
        return look_up(database, local)
    finally:
        database.close()


def look_up(database: Cdb, local: bytes) -> Assignment | None:
    """Return whose `local` is: an exact line, else the longest prefix."""
    endings = database.get(b"")
    if endings is None:
        raise CdbError(b"users/cdb: no list of wild cards; run qmail-newu")
    name = b"!" + local.lower()
    value = database.get(name + b"\0")
    if value is not None:
        return _parse_value(value)
    # The list is as written, but keys are in lower case: without lower() here, a
    # prefix that ends in an upper-case letter would never match.
    endings = endings.lower()
    for length in range(len(name), 0, -1):
        if length == 1 or name[length - 1] in endings:
            value = database.get(name[:length])
            if value is not None:
                return _parse_value(value + local[length - 1 :])
    return None


def _parse_value(value: bytes) -> Assignment:
    fields = value.split(b"\0")
    if len(fields) < _FIELDS:
        raise CdbError(b"users/cdb: too few fields; run qmail-newu")
    user, uid, gid, home, dash, ext = fields[:_FIELDS]
    return Assignment(user, _parse_id(uid), _parse_id(gid), home, dash, ext)


def _parse_id(text: bytes) -> int:
    """Return the number `text` begins with; 0, to whom nothing is delivered, if there is none."""
    digits = text[: len(text) - len(text.lstrip(b"0123456789"))]
    # A number this long is nobody's; Python would refuse thousands of digits.
    return int(digits[:20] or b"0") & _ID_MASK
