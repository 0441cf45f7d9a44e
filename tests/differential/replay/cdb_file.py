"""Reads a cdb file without the code under test, and finds each record by its hash."""

from __future__ import annotations

import struct

TABLES = 256
HEADER_LENGTH = TABLES * 8


def read_records(data: bytes) -> list[list[str]] | None:
    """Return all records in the order of the file; None if it is no sound cdb."""
    try:
        return _read_records(data)
    except (struct.error, ValueError):
        return None


def _read_records(data: bytes) -> list[list[str]]:
    tables = list(struct.iter_unpack("<II", data[:HEADER_LENGTH]))
    if len(tables) != TABLES:
        raise ValueError("no header")
    end = min(position for position, _ in tables)
    position, records = HEADER_LENGTH, []
    while position < end:
        key, value, after = _record_at(data, position)
        if after > end or not _is_found(data, tables, key, position):
            raise ValueError("a record that no look-up finds")
        records.append([key.decode("latin-1"), value.decode("latin-1")])
        position = after
    return records


def _record_at(data: bytes, position: int) -> tuple[bytes, bytes, int]:
    key_length, value_length = struct.unpack_from("<II", data, position)
    start = position + 8
    middle, end = start + key_length, start + key_length + value_length
    return data[start:middle], data[middle:end], end


def _is_found(data: bytes, tables: list[tuple[int, int]], key: bytes, wanted: int) -> bool:
    """Walk the slots as a reader does; ask whether they lead to the record at `wanted`."""
    value = 5381
    for byte in key:
        value = (value * 33 & 0xFFFFFFFF) ^ byte
    table, slots = tables[value % TABLES]
    for step in range(slots):
        slot = table + (value // TABLES + step) % slots * 8
        slot_hash, position = struct.unpack_from("<II", data, slot)
        if position == 0:
            return False
        if slot_hash == value and position == wanted:
            return True
    return False
