"""users/passwd: passwords of users of mail, who need not have accounts; qmail-passwd(5)."""

from __future__ import annotations

import base64
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pyqmail.control.files import ControlError, read_list_or_me, read_text
from pyqmail.control.maps import ConstantMap
from pyqmail.errors import PermanentFailure
from pyqmail.message.address import split_address
from pyqmail.system import files
from pyqmail.system.locks import lock_exclusively

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH: Final = "users/passwd"
_MODE: Final = 0o600

_SCRAM: Final = b"{SCRAM-SHA-256}"
_PLAIN: Final = b"{PLAIN}"
_SCRAM_FIELDS: Final = 4
_MAX_DIGITS: Final = 9

_FORBIDDEN: Final = frozenset(b":\x7f" + bytes(range(33)))


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is kept of a password for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677)."""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read `iterations,salt,stored key,server key`. Raises ValueError."""
        fields = text.split(b",")
        if len(fields) != _SCRAM_FIELDS or not fields[0].isdigit() or len(fields[0]) > _MAX_DIGITS:
            raise ValueError(text)
        keys = [base64.b64decode(field, validate=True) for field in fields[1:]]
        salt, stored_key, server_key = keys
        return cls(salt, stored_key, server_key, int(fields[0]))

    def encode(self) -> bytes:
        """Return the text that `parse()` reads."""
        keys = (self.salt, self.stored_key, self.server_key)
        return b",".join([b"%d" % self.iterations, *(base64.b64encode(key) for key in keys)])


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: how the user `name` can show who he is. Each way may be missing."""

    name: bytes
    hashed: bytes | None = None  # as crypt(3) or argon2 writes it
    scram: ScramKeys | None = None
    secret: bytes | None = None  # the password itself

    def encode(self) -> bytes:
        """Return the line, without a newline."""
        fields = [self.name]
        if self.hashed is not None:
            fields.append(self.hashed)
        if self.scram is not None:
            fields.append(_SCRAM + self.scram.encode())
        if self.secret is not None:
            fields.append(_PLAIN + self.secret)
        return b":".join(fields)


def parse_entry(line: bytes) -> Entry:
    """Return the entry that a line is. Raises ValueError."""
    name, _, rest = line.partition(b":")
    hashed, scram, secret = None, None, None
    while rest:
        if rest.startswith(_PLAIN):
            secret, rest = rest.removeprefix(_PLAIN), b""  # colons are its own
            continue
        field, _, rest = rest.partition(b":")
        if field.startswith(_SCRAM):
            scram = ScramKeys.parse(field.removeprefix(_SCRAM))
        elif field.startswith(b"$"):
            hashed = field
        elif field:
            raise ValueError(field)
    return Entry(name, hashed, scram, secret)


def find_entry(home: str, name: bytes) -> Entry | None:
    """Return the entry of `name`, upper case or lower; None if there is none.

    Who has given his whole address, in a domain of the host's own, is meant by its local part.
    Raises ControlError if its line is broken, or the file cannot be read.
    """
    entry = _find(home, name)
    if entry is None:
        local, domain = split_address(name)
        if domain is not None and domain in ConstantMap(read_list_or_me(home, "locals") or ()):
            entry = _find(home, local)
    return entry


def _find(home: str, name: bytes) -> Entry | None:
    start = name.lower() + b":"
    for number, line in enumerate(_lines(home), 1):
        if line[: len(start)].lower() == start:
            return _parse(line, number)
    return None


def entries(home: str) -> list[Entry]:
    """Return all entries. Raises ControlError for the first line that is none."""
    found = []
    for number, line in enumerate(_lines(home), 1):
        if line.strip() and not line.startswith(b"#"):
            found.append(_parse(line, number))
    return found


def _parse(line: bytes, number: int) -> Entry:
    try:
        return parse_entry(line)
    except ValueError as error:
        raise ControlError(PATH, number, b"a field that nobody knows") from error


def set_entry(home: str, entry: Entry) -> None:
    """Make `entry` the only one of its name; on return it survives a power cut."""
    if not entry.name or entry.name.startswith(b"#") or set(entry.name) & _FORBIDDEN:
        raise PermanentFailure(b"not a name for a user: " + entry.name)
    if entry.secret is not None and set(entry.secret) & set(b"\r\n\0"):
        raise PermanentFailure(b"a password cannot contain a line end or a NUL")
    with _changing(home):
        _write(home, [*_others(home, entry.name), entry.encode()])


def remove_entry(home: str, name: bytes) -> bool:
    """Take the entry of `name` away; say whether there was one."""
    with _changing(home):
        lines, others = _lines(home), _others(home, name)
        if len(lines) == len(others):
            return False
        _write(home, others)
        return True


def _lines(home: str) -> list[bytes]:
    text = read_text(home, PATH) or b""
    return text.removesuffix(b"\n").split(b"\n") if text else []


def _others(home: str, name: bytes) -> list[bytes]:
    start = name.lower() + b":"
    return [line for line in _lines(home) if line[: len(start)].lower() != start]


def _write(home: str, lines: list[bytes]) -> None:
    text = b"".join(line + b"\n" for line in lines)
    files.replace_durably(os.path.join(home, PATH), text, _MODE)


@contextmanager
def _changing(home: str) -> Iterator[None]:
    """Keep two who change the file at once apart: the second would undo the first's change."""
    descriptor = os.open(os.path.join(home, "users"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock_exclusively(descriptor)
        yield
    finally:
        os.close(descriptor)
