"""Failed logins, remembered by address and by name, so that guessing takes its time.

Each checkpassword is a process of its own, so what they remember is in a file,
`run/guesses`: two tables of fixed size, which no number of guesses makes
larger. Where there is no such file and none can be made, nothing is
remembered, and every failure costs the least delay.

Counts fade: after HALF_LIFE seconds half is left. An attempt counts as a
failure from its start, so that a thousand at once do not pass as one.
"""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.system.locks import lock_exclusively
from pyqmail.system.tcp import network_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HALF_LIFE: Final = 600  # seconds
# With these, an address can try one and a half passwords a minute for ever, and all
# addresses together three and a half for one name.
MAX_OF_ADDRESS: Final = 20
MAX_OF_NAME: Final = 50
# Seconds that a failure takes at least, whoever fails: longer than a check, so that its time tells
# nothing. It doubles with each failure before it.
MIN_DELAY: Final = 1
MAX_DELAY: Final = 16

_MAGIC: Final = b"guesses1"
_KEY_SIZE: Final = 16
_HEADER_SIZE: Final = len(_MAGIC) + _KEY_SIZE
_RECORD: Final = struct.Struct("=8sdd")  # whose, how much, when
_WAYS: Final = 4  # records of one bucket: where one can be, whoever it belongs to
_BUCKET_SIZE: Final = _RECORD.size * _WAYS
_BUCKETS: Final = 2048  # of each table; so each remembers 8192, in 192 KiB
_TABLE_SIZE: Final = _BUCKET_SIZE * _BUCKETS
_FAILURES, _FRIENDS = _HEADER_SIZE, _HEADER_SIZE + _TABLE_SIZE  # where the tables begin
_SIZE: Final = _FRIENDS + _TABLE_SIZE
_MODE: Final = 0o600

_FORGOTTEN: Final = 100 * HALF_LIFE
_MAX_COUNT: Final = 1e6  # nobody fails so often within that


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of an attempt at its start."""

    delay: float  # seconds that it takes if it fails
    blocked: bool  # too many have failed: do not even look at the password


class Guesses:
    """The memory of one home. `now` is Unix time."""

    def __init__(self, home: str) -> None:
        self._path = os.path.join(home, "run", "guesses")

    def begin(self, address: bytes | None, name: bytes, now: float) -> Attempt:
        """Count an attempt; `address` is the client's, None where there is none."""
        try:
            with self._opened() as memory:
                return _count(memory, _Subject(address, name), now)
        except OSError:
            return Attempt(MIN_DELAY, blocked=False)

    def withdraw(self, address: bytes | None, name: bytes, now: float) -> None:
        """Take an attempt back. Others count: who has one password may be guessing another."""
        self._change(lambda memory: _withdraw(memory, _Subject(address, name), now))

    def befriend(self, address: bytes | None, name: bytes, now: float) -> None:
        """Let this address log in as `name`, whatever others do to that name."""
        pair = _Subject(address, name).pair
        if pair is not None:
            self._change(lambda memory: memory.befriend(pair, now))

    def secret(self) -> bytes | None:
        """Return bytes that stay the same and that nobody else knows; None where there are none."""
        try:
            with self._opened() as memory:
                return memory.key
        except OSError:
            return None

    def _change(self, change: Callable[[_Memory], None]) -> None:
        try:
            with self._opened() as memory:
                change(memory)
        except OSError:
            return  # what cannot be remembered is forgotten: nobody is kept out for that

    @contextmanager
    def _opened(self) -> Iterator[_Memory]:
        # Whoever owns run/ may put anything there: neither follow a link nor write into what
        # is not ours.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, _MODE)
        try:
            if os.fstat(descriptor).st_uid != os.geteuid() or os.fstat(descriptor).st_nlink != 1:
                raise PermissionError(self._path)
            lock_exclusively(descriptor)
            yield _Memory(descriptor)
        finally:
            os.close(descriptor)


class _Subject:
    """Who makes an attempt, as keys of the tables."""

    def __init__(self, address: bytes | None, name: bytes) -> None:
        network = None if address is None else network_of(address)
        self.name = b"name " + name.lower()
        self.address = None if network is None else b"address " + network
        self.pair = None if network is None else network + b" " + self.name

    def counted(self) -> list[bytes]:
        return [self.name] if self.address is None else [self.name, self.address]


def _count(memory: _Memory, subject: _Subject, now: float) -> Attempt:
    of_name = memory.add(subject.name, 1, now)
    of_address = 0.0 if subject.address is None else memory.add(subject.address, 1, now)
    friend = subject.pair is not None and memory.knows(subject.pair)
    blocked = of_address > MAX_OF_ADDRESS or (of_name > MAX_OF_NAME and not friend)
    failures = max(of_address, 1 if friend else of_name)
    if blocked:
        # It is no guess, for nobody looks at the password. And it does not hold the server up: who
        # may not guess must not take the places of others.
        _withdraw(memory, subject, now)
        return Attempt(MIN_DELAY, blocked=True)
    delay = min(MAX_DELAY, MIN_DELAY * 2 ** max(0.0, failures - 1))
    return Attempt(delay, blocked=False)


def _withdraw(memory: _Memory, subject: _Subject, now: float) -> None:
    for whose in subject.counted():
        memory.add(whose, -1, now)


class _Memory:
    """The file, open and locked."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        header = os.pread(descriptor, _HEADER_SIZE, 0)
        if len(header) < _HEADER_SIZE or not header.startswith(_MAGIC):
            # The key is chance: nobody can choose names that drive others out of their places.
            header = _MAGIC + os.urandom(_KEY_SIZE)
            os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, _SIZE)
            os.pwrite(descriptor, header, 0)
        self.key = header[len(_MAGIC) :]

    def add(self, whose: bytes, amount: float, now: float) -> float:
        """Add to a count that fades; return what it is now."""
        digest, place, records = self._find(_FAILURES, whose)
        faded = [_faded(count, now - when) for _, count, when in records]
        index = next((i for i, record in enumerate(records) if record[0] == digest), None)
        if index is None:
            index = faded.index(min(faded))
            faded[index] = 0.0
        count = max(0.0, faded[index] + amount)
        self._write(place, index, digest, count, now)
        return count

    def befriend(self, whose: bytes, now: float) -> None:
        """Remember a pair of address and name, in the place of the oldest."""
        digest, place, records = self._find(_FRIENDS, whose)
        known = [i for i, record in enumerate(records) if record[0] == digest]
        index = known[0] if known else min(range(_WAYS), key=lambda i: records[i][2])
        self._write(place, index, digest, 1.0, now)

    def knows(self, whose: bytes) -> bool:
        """Ask whether a pair is remembered."""
        digest, _, records = self._find(_FRIENDS, whose)
        return any(record[0] == digest for record in records)

    def _find(
        self, table: int, whose: bytes
    ) -> tuple[bytes, int, list[tuple[bytes, float, float]]]:
        digest = hashlib.blake2b(whose, digest_size=12, key=self.key).digest()
        place = table + int.from_bytes(digest[8:], "big") % _BUCKETS * _BUCKET_SIZE
        data = os.pread(self._descriptor, _BUCKET_SIZE, place).ljust(_BUCKET_SIZE, b"\0")
        return digest[:8], place, list(_RECORD.iter_unpack(data))

    def _write(self, place: int, index: int, digest: bytes, count: float, now: float) -> None:
        record = _RECORD.pack(digest, count, now)
        os.pwrite(self._descriptor, record, place + index * _RECORD.size)


def _faded(count: float, age: float) -> float:
    if not 0 < count < _MAX_COUNT or not -HALF_LIFE < age < _FORGOTTEN:
        return 0.0  # long ago; or a damaged file, or a clock that was set back
    return float(count * 2 ** (-max(0.0, age) / HALF_LIFE))
