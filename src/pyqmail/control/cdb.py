"""cdb, the family's own database format: one file, never changed, only replaced.

Three parts, all numbers 32 bits, little-endian. A header of 256 pairs
(position, number of slots), one for each hash table; then the records (length
of key, length of data, key, data); then the hash tables, each slot a pair
(hash, position of the record), position 0 for an empty slot, at most half of
them used. A key's table is the lowest byte of its hash; the search begins at
slot hash / 256 modulo the number of slots, goes on to the next, and ends at
an empty one.
"""

from __future__ import annotations

import errno
import mmap
import os
from struct import Struct
from struct import error as StructError  # noqa: N812  its own name would say nothing here

from pyqmail.errors import TransientFailure
from pyqmail.system import errnos, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PAIR = Struct("<II")
_TABLES = 256
_HEADER_SIZE = _TABLES * _PAIR.size
_MAX_SIZE = 2**32 - 1  # bytes; a position has 32 bits
_MODE = 0o644


class CdbError(TransientFailure):
    """The database cannot be read, or is damaged; an absent one raises FileNotFoundError."""


class DamagedCdbError(CdbError):
    """The file is there and can be read, but is no database, or not a whole one."""


def hash_of(key: bytes) -> int:
    """Return the 32-bit hash of `key`."""
    value = 5381
    for byte in key:
        value = ((value * 33) & 0xFFFFFFFF) ^ byte
    return value


class Cdb:
    """An open database. It keeps showing what it showed, also when the file is replaced."""

    __slots__ = ("_data", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._data = _map_file(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            text = b"unable to read " + os.fsencode(path) + b": " + errnos.error_text(error)
            raise CdbError(text) from error
        if len(self._data) < _HEADER_SIZE:
            raise self._damaged()

    def get(self, key: bytes) -> bytes | None:
        """Return the data of the first record with `key`; None if there is none."""
        try:
            return self._find(key)
        except StructError as error:
            raise self._damaged() from error

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every record in the order it was written."""
        try:
            # The first table begins where the last record ends.
            end, _ = _PAIR.unpack_from(self._data, 0)
            position = _HEADER_SIZE
            while position < end:
                middle, following = self._borders(position)
                yield self._data[position + _PAIR.size : middle], self._data[middle:following]
                position = following
        except StructError as error:
            raise self._damaged() from error
        if position != end:
            raise self._damaged()

    def close(self) -> None:
        """Give the memory back."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()

    def _find(self, key: bytes) -> bytes | None:
        wanted = hash_of(key)
        table, slots = _PAIR.unpack_from(self._data, (wanted & 255) * _PAIR.size)
        if not slots:
            return None
        first = (wanted >> 8) % slots
        for step in range(slots):
            slot = table + (first + step) % slots * _PAIR.size
            found, position = _PAIR.unpack_from(self._data, slot)
            if not position:
                return None
            if found == wanted:
                middle, end = self._borders(position)
                start = position + _PAIR.size
                if middle - start == len(key) and self._data[start:middle] == key:
                    return self._data[middle:end]
        return None

    def _borders(self, position: int) -> tuple[int, int]:
        """Return where the key of a record ends, and where its data does."""
        key_length, data_length = _PAIR.unpack_from(self._data, position)
        middle = position + _PAIR.size + key_length
        end = middle + data_length
        if end > len(self._data):
            raise self._damaged()
        return middle, end

    def _damaged(self) -> DamagedCdbError:
        return DamagedCdbError(os.fsencode(self._path) + b": damaged database")


def _map_file(path: str) -> mmap.mmap | bytes:
    descriptor = files.open_to_read(path)
    try:
        if os.fstat(descriptor).st_size == 0:  # mmap refuses an empty file
            return files.read_rest(descriptor)
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError as error:  # a directory has a size but cannot be mapped
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from error
    finally:
        os.close(descriptor)


def encode_cdb(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the database file that holds `records`, in their order."""
    pieces = [b""]  # the header, once it is known
    tables: list[list[tuple[int, int]]] = [[] for _ in range(_TABLES)]
    position = _HEADER_SIZE
    for key, data in records:
        pieces += (_PAIR.pack(len(key), len(data)), key, data)
        value = hash_of(key)
        tables[value & 255].append((value, position))
        position += _PAIR.size + len(key) + len(data)
        if position > _MAX_SIZE:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    header = []
    for table in tables:
        slots = _fill_slots(table)
        header.append(_PAIR.pack(position, len(slots)))
        pieces += [_PAIR.pack(*slot) for slot in slots]
        position += len(slots) * _PAIR.size
    if position > _MAX_SIZE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    pieces[0] = b"".join(header)
    return b"".join(pieces)


def _fill_slots(table: list[tuple[int, int]]) -> list[tuple[int, int]]:
    slots = [(0, 0)] * (2 * len(table))
    for value, position in table:
        slot = (value >> 8) % len(slots)
        while slots[slot][1]:
            slot = (slot + 1) % len(slots)
        slots[slot] = (value, position)
    return slots


def write_cdb(path: str, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Replace the database `path` in one step that survives a power cut; raise OSError."""
    files.replace_durably(path, encode_cdb(records), _MODE)
