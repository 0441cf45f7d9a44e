"""Hosts that did not answer are left alone for a while; lock/tcpto, see `tcpto` for its form.

Two time-outs at least two minutes apart suspend an address for more than an
hour. There is a table for IPv4 and one for IPv6, with the same rules. On any
trouble with the file nobody is suspended: it saves time, and nothing else.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pyqmail.queue.layout import TCPTO_IPV6_SIZE, TCPTO_SIZE, queue_directory
from pyqmail.system import files
from pyqmail.system.locks import lock_exclusively

if TYPE_CHECKING:
    from collections.abc import Iterator

IPV6_SIZE: Final = 16
SUSPENDED_AT: Final = 2  # time-outs
MOST_TIMEOUTS: Final = 10
AGAIN_AFTER: Final = 120  # seconds in which further time-outs are one with the last
_NUMBERS: Final = struct.Struct("<B3xI4x")  # time-outs, time of the last; after the address


def suspended_until(table: bytes, address: bytes, jitter: int) -> int | None:
    """Return when the address may be tried again; None if it is not in the table.

    `jitter` keeps processes from trying all at once; its last five bits count.
    """
    position = _find(table, address)
    if position is None:
        return None
    timeouts, last = _numbers(table, position, len(address))
    return last + 64 * (60 + (jitter & 31)) if timeouts >= SUSPENDED_AT else 0


def after_success(table: bytes, address: bytes) -> tuple[int, bytes] | None:
    """Return the record to be written, and where, now that the address has answered."""
    position = _find(table, address)
    if position is None:
        return None
    _, last = _numbers(table, position, len(address))
    return position, address + _NUMBERS.pack(0, last)


def after_timeout(table: bytes, address: bytes, now: int) -> tuple[int, bytes] | None:
    """Return the record to be written, and where, now that the address did not answer."""
    timeouts = 0
    position = _find(table, address)
    if position is not None:
        timeouts, last = _numbers(table, position, len(address))
        if timeouts and now < last + AGAIN_AFTER:
            return None
    else:
        position = _place_for_new(table, len(address))
        if position is None:
            return None
    timeouts = min(timeouts + 1, MOST_TIMEOUTS)
    return position, address + _NUMBERS.pack(timeouts, now % 2**32)


def _record_size(address_size: int) -> int:
    return address_size + _NUMBERS.size


def _positions(table: bytes, address_size: int) -> range:
    size = _record_size(address_size)
    return range(0, len(table) - size + 1, size)


def _find(table: bytes, address: bytes) -> int | None:
    positions = _positions(table, len(address))
    return next((each for each in positions if table.startswith(address, each)), None)


def _numbers(table: bytes, position: int, address_size: int) -> tuple[int, int]:
    timeouts, last = _NUMBERS.unpack_from(table, position + address_size)
    return timeouts, last


def _place_for_new(table: bytes, address_size: int) -> int | None:
    """Return the first free record, else that of the host which troubled us longest ago."""

    def weight(position: int) -> int:
        timeouts, last = _numbers(table, position, address_size)
        return last + 1024 * timeouts if timeouts else -1

    return min(_positions(table, address_size), key=weight, default=None)


class Suspension:
    """The table of a home, for one who connects. Addresses are packed."""

    def __init__(self, home: str, jitter: int) -> None:
        self._path = queue_directory(home) + "/lock/tcpto"
        self._jitter = jitter

    def is_suspended(self, address: bytes, now: int) -> bool:
        """Should the address be left alone now?"""
        try:
            with self._locked_table(address) as (_, _, table):
                until = suspended_until(table, address, self._jitter)
        except OSError:
            return False
        return until is not None and now < until

    def note_success(self, address: bytes) -> None:
        """The address has answered."""
        self._change(address, None)

    def note_timeout(self, address: bytes, now: int) -> None:
        """The address has not answered in time."""
        self._change(address, now)

    def _change(self, address: bytes, timeout: int | None) -> None:
        try:
            with self._locked_table(address) as (descriptor, start, table):
                if timeout is None:
                    change = after_success(table, address)
                else:
                    change = after_timeout(table, address, timeout)
                if change is not None and not table.startswith(change[1], change[0]):
                    files.write_at(descriptor, change[1], start + change[0])
        except OSError:
            return  # the next delivery waits as long as this one

    @contextmanager
    def _locked_table(self, address: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Give the file for writing, and where the table for such addresses begins; and that."""
        descriptor = files.open_to_overwrite(self._path)
        try:
            reading = files.open_to_read(self._path)
            try:
                lock_exclusively(descriptor)
                data = os.read(reading, TCPTO_SIZE + TCPTO_IPV6_SIZE)
            finally:
                os.close(reading)
            if len(address) != IPV6_SIZE:
                yield descriptor, 0, data[:TCPTO_SIZE]
            elif len(data) >= TCPTO_SIZE:
                # It is not there before it is needed: the original knows nothing of it.
                table = data[TCPTO_SIZE:].ljust(TCPTO_IPV6_SIZE, b"\0")
                yield descriptor, TCPTO_SIZE, table
            else:
                yield descriptor, 0, b""
        finally:
            os.close(descriptor)
