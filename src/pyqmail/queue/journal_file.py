"""One file of the journal, as bytes: `Segment`; docs/queue.md, qmail-queued(8).

A segment is as long as it will ever be, so that writing into it changes nothing but its
blocks. Its first block names the generation that the rest belongs to, or none. Frames follow, each
from a block of its own: a write that a power cut breaks damages no other frame. What earlier
generations left behind them does not count.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK: Final = 4096

# 0 and 1 below queue/journal. One is written while the messages of the other become files that
# survive. At 1,500 messages of 1 kB a second one lasts for three seconds.
SEGMENT_SIZE: Final = 8 << 20

MODE: Final = 0o600  # other people's mail is in it

# What a block begins with, and the checksum of what follows behind it.
_START: Final = struct.Struct(">8sI")
_SEGMENT: Final = b"qsegment"
_FRAME: Final = b"qframe1\n"
_GENERATION: Final = struct.Struct(">Q")
_CONTENTS: Final = struct.Struct(">QQI")  # generation, sequence number, bytes of entries
_ENTRY: Final = struct.Struct(">QII")  # message number, bytes of the message, of the envelope

NO_GENERATION: Final = 0


class Entry(NamedTuple):
    """A message that was accepted: what mess/S/N and todo/N hold."""

    number: int
    message: bytes
    envelope: bytes


def encode_frame(
    generation: int, sequence: int, entries: Sequence[tuple[int, bytes, bytes]]
) -> bytes:
    """Return the blocks that hold `entries`, all or none of them."""
    pieces = []
    for number, message, envelope in entries:
        pieces += [_ENTRY.pack(number, len(message), len(envelope)), message, envelope]
    payload = b"".join(pieces)
    contents = _CONTENTS.pack(generation, sequence, len(payload)) + payload
    return _blocks(_FRAME, contents)


def frame_size(entries: Sequence[tuple[int, bytes, bytes]]) -> int:
    """Return how many bytes `encode_frame()` gives."""
    size = _START.size + _CONTENTS.size
    size += sum(_ENTRY.size + len(message) + len(envelope) for _, message, envelope in entries)
    return size + -size % BLOCK


def _blocks(kind: bytes, contents: bytes) -> bytes:
    blocks = _START.pack(kind, zlib.crc32(contents)) + contents
    return blocks + bytes(-len(blocks) % BLOCK)


def parse_segment(data: bytes) -> Iterator[tuple[int, list[Entry]]]:
    """Yield sequence number and entries of each frame that counts and is whole.

    Behind one that is not whole others are looked for: it may have been damaged since.
    """
    generation = _generation(data)
    position = BLOCK
    while generation != NO_GENERATION and position + BLOCK <= len(data):
        frame = _frame_at(data, position, generation)
        if frame is None:
            position += BLOCK
            continue
        sequence, payload = frame
        entries = _entries(payload)
        yield sequence, entries
        position += frame_size(entries)


def _generation(data: bytes) -> int:
    if len(data) < BLOCK:
        return NO_GENERATION
    kind, checksum = _START.unpack_from(data)
    contents = data[_START.size : _START.size + _GENERATION.size]
    if kind != _SEGMENT or zlib.crc32(contents) != checksum:
        return NO_GENERATION
    generation: int = _GENERATION.unpack(contents)[0]
    return generation


def _frame_at(data: bytes, position: int, generation: int) -> tuple[int, bytes] | None:
    kind, checksum = _START.unpack_from(data, position)
    start = position + _START.size
    its_generation, sequence, length = _CONTENTS.unpack_from(data, start)
    end = start + _CONTENTS.size + length
    if kind != _FRAME or its_generation != generation or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[start:end]) != checksum:
        return None
    return sequence, data[start + _CONTENTS.size : end]


def _entries(payload: bytes) -> list[Entry]:
    entries = []
    position = 0
    while position < len(payload):
        number, message, envelope = _ENTRY.unpack_from(payload, position)
        begin = position + _ENTRY.size
        middle, position = begin + message, begin + message + envelope
        entries.append(Entry(number, payload[begin:middle], payload[middle:position]))
    return entries


class Segment:
    """One of the files, open for writing. Nothing of an earlier process counts in it any more."""

    def __init__(self, path: str) -> None:
        """Open a file that `make_segment()` made."""
        self._descriptor = files.open_to_overwrite(path)
        self._generation = NO_GENERATION
        self._end = BLOCK
        self.size = os.fstat(self._descriptor).st_size
        self.unpublished = False  # messages of the last frame may have no names in todo/ yet
        self.since: float | None = None  # when the first frame came, by a clock of the user's

    def fits(self, size: int) -> bool:
        """Say whether a frame of `size` bytes could be appended if it were empty."""
        return BLOCK + size <= self.size

    def has_room(self, size: int) -> bool:
        """Say whether a frame of `size` bytes can be appended."""
        return self._end + size <= self.size

    def append(self, sequence: int, entries: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Write a frame, durably. After an OSError nobody knows whether it is there."""
        if self._generation == NO_GENERATION:
            # So that it differs from what older frames in this file have.
            self._generation = int.from_bytes(os.urandom(8)) | 1
            self._write_generation()
        frame = encode_frame(self._generation, sequence, entries)
        position, self._end = self._end, self._end + len(frame)
        files.write_at(self._descriptor, frame, position)
        files.sync_contents(self._descriptor)

    def clear(self) -> None:
        """Make all frames count no more, durably."""
        self._generation = NO_GENERATION
        self._write_generation()
        files.sync_contents(self._descriptor)
        self._end = BLOCK
        self.since = None

    def _write_generation(self) -> None:
        block = _blocks(_SEGMENT, _GENERATION.pack(self._generation))
        files.write_at(self._descriptor, block, 0)

    def close(self) -> None:
        """Close the file; what counts in it goes on doing so."""
        os.close(self._descriptor)


def make_segment(path: str, size: int = SEGMENT_SIZE) -> None:
    """Make a segment that is empty, unless there is one of this size; the name is not synced.

    All of its blocks are written once: so no later write has to find room, and syncing one
    means one write and no change of what the file system knows.
    """
    try:
        if os.stat(path).st_size == size:
            return
        files.unlink(path)
    except FileNotFoundError:
        pass
    try:
        files.write_new_file(path, bytes(size), MODE)
    except OSError:
        files.discard(path)  # a disk that is full needs the room
        raise
