"""The files of records that qmail-send reads and writes: todo, info, local, remote.

What the records mean and how they are spelled is in envelope_file.py; here
they are read and written piece by piece, since a list may have a million recipients.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pyqmail.queue import layout
from pyqmail.queue.envelope_file import ADDITION, DamagedEnvelope, parse_decimal, records
from pyqmail.queue.store import DamagedMessage, StoredRecipient, StoreFailure
from pyqmail.system import files
from pyqmail.system.errnos import error_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_WRITE_SIZE: Final = 65536  # bytes gathered for one write


@contextmanager
def trouble(text: str, *, missing_is_damage: bool = False) -> Iterator[None]:
    """Turn an OSError into the failure that the log calls `text`."""
    try:
        yield
    except FileNotFoundError as error:
        kind = DamagedMessage if missing_is_damage else StoreFailure
        raise kind(text.encode(), error_text(error)) from error
    except OSError as error:
        raise StoreFailure(text.encode(), error_text(error)) from error


def read_records(descriptor: int, name: str) -> Iterator[bytes]:
    """Yield the records of the open file `name` without their NUL."""
    text = f"trouble reading {name}"
    try:
        with trouble(text):
            yield from records(lambda: os.read(descriptor, files.READ_SIZE))
    except DamagedEnvelope as damage:
        raise DamagedMessage(text.encode(), damage.text) from damage


def read_recipients(descriptor: int, name: str) -> Iterator[StoredRecipient]:
    """Yield the recipients in the open file `name`."""
    position = 0
    for record in read_records(descriptor, name):
        letter = record[:1]
        if letter not in (b"T", b"D"):
            raise DamagedMessage(f"unknown record type in {name}!".encode())
        yield StoredRecipient(position, record[1:], done=letter == b"D")
        position += len(record) + 1


def read_additions(descriptor: int, name: str) -> Iterator[bytes]:
    """Yield the additional records behind the reverse path in the open file `name`."""
    has_sender = False
    for record in read_records(descriptor, name):
        if has_sender:
            if not record.startswith(ADDITION):
                return
            yield record.removeprefix(ADDITION)
        has_sender = has_sender or record.startswith(b"F")


class TodoFile:
    """The envelope of a new message; see store.NewEnvelope."""

    def __init__(self, descriptor: int, name: str, size: int) -> None:
        self._descriptor = descriptor
        self._name = name
        self._records = read_records(descriptor, name)
        self.size = size
        self.uid = self.pid = 0
        self.has_additions = False
        self.reverse_path = b""
        self._read_origin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def __iter__(self) -> Iterator[bytes]:
        for record in self._records:
            if record.startswith(ADDITION):
                self.has_additions = True
                continue
            if not record.startswith(b"T"):
                raise self._damage(f"unknown record type in {self._name}")
            yield record[1:]

    def _read_origin(self) -> None:
        """Read the records up to the reverse path."""
        try:
            for record in self._records:
                letter, value = record[:1], record[1:]
                if letter == b"F":
                    self.reverse_path = value
                    return
                if letter == b"u":
                    self.uid = parse_decimal(value)
                elif letter == b"p":
                    self.pid = parse_decimal(value)
                else:
                    raise self._damage(f"unknown record type in {self._name}")
        except DamagedEnvelope as damage:
            raise self._damage(f"trouble reading {self._name}", damage.text) from damage
        raise self._damage(f"trouble reading {self._name}", b"no sender record")

    def _damage(self, text: str, reason: bytes = b"") -> DamagedMessage:
        return DamagedMessage(text.encode(), reason)


class RecordFile:
    """A file of records being written; it comes into being with its first record."""

    def __init__(self, queue: str, name: str) -> None:
        self.name = name
        self._path = f"{queue}/{name}"
        self._pending = bytearray()
        self._size = 0
        self.descriptor = -1

    def append(self, record: bytes) -> int:
        """Add a record and return its position."""
        position = self._size
        self._pending += record
        self._size += len(record)
        if len(self._pending) >= _WRITE_SIZE:
            self.flush()
        return position

    def flush(self) -> bool:
        """Write what has gathered; say whether the file exists."""
        if self.descriptor < 0 and self._pending:
            with trouble(f"unable to create {self.name}"):
                self.descriptor = files.create_exclusively(self._path, layout.PRIVATE_MODE)
        if self._pending:
            with trouble(f"trouble writing to {self.name}"):
                files.write(self.descriptor, bytes(self._pending))
            self._pending.clear()
        return self.descriptor >= 0

    def directory(self) -> str:
        """Return the directory that names the file."""
        return os.path.dirname(self._path)

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
