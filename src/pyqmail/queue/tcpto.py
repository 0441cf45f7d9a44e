"""lock/tcpto: hosts that did not answer lately; qmail-tcpto(8).

64 records of 16 bytes: IPv4 address, number of recent time-outs (0: the record
is free), three bytes unused, time of the last one as little-endian Unix
seconds, four bytes unused. Behind these, as soon as there is an IPv6 host to
remember, the same for such: 64 records of 28 bytes. The original looks at the
first 1024 bytes alone.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure
from pyqmail.queue.layout import TCPTO_IPV6_SIZE, TCPTO_SIZE, queue_directory
from pyqmail.system import files
from pyqmail.system.errnos import error_text
from pyqmail.system.locks import lock_exclusively

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD: Final = struct.Struct("<4sB3xI4x")
_IPV6_RECORD: Final = struct.Struct("<16sB3xI4x")

_UNSIGNED: Final = 2**64  # the original prints an age below zero as an unsigned number


@dataclass(frozen=True, slots=True)
class SlowHost:
    """A host that did not answer: its address, how often, and when last."""

    address: bytes
    timeouts: int
    last: int


def read_table(home: str) -> list[SlowHost]:
    """Return the hosts of the table, read under its lock. Raises TransientFailure."""
    path = _folder(home, b"chdir") + "/tcpto"
    lock = _open(path, b"open tcpto")
    try:
        try:
            descriptor = files.open_to_read(path)
        except OSError as error:
            raise _failure(b"open tcpto", error) from error
        try:
            data = _read_locked(lock, descriptor)
        finally:
            os.close(descriptor)
    finally:
        os.close(lock)
    return list(parse_table(data))


def parse_table(data: bytes) -> Iterator[SlowHost]:
    """Yield the hosts in the table; a table that is too short counts as far as it goes."""
    for record, part in ((_RECORD, data[:TCPTO_SIZE]), (_IPV6_RECORD, data[TCPTO_SIZE:])):
        whole = len(part) - len(part) % record.size
        for address, timeouts, last in record.iter_unpack(part[:whole]):
            if timeouts:
                yield SlowHost(address, timeouts, last)


def describe(host: SlowHost, now: int) -> bytes:
    """Return the line of qmail-tcpto about a host."""
    return b"%b timed out %d seconds ago; # recent timeouts: %d\n" % (
        str(ipaddress.ip_address(host.address)).encode(),
        (now - host.last) % _UNSIGNED,
        host.timeouts,
    )


def clear_table(home: str) -> None:
    """Forget all hosts. Raises TransientFailure."""
    if not os.path.isdir(home):
        raise _failure(b"chdir to " + os.fsencode(home), _stat_error(home))
    path = _folder(home, b"chdir to " + os.fsencode(home) + b"/queue/lock") + "/tcpto"
    name = os.fsencode(path)
    descriptor = _open(path, b"write " + name)
    try:
        try:
            lock_exclusively(descriptor)
        except OSError as error:
            raise _failure(b"lock " + name, error) from error
        try:
            files.write(descriptor, bytes(TCPTO_SIZE))
            files.truncate(descriptor, TCPTO_SIZE)
        except OSError as error:
            raise _failure(b"clear " + name, error) from error
    finally:
        os.close(descriptor)


def _folder(home: str, action: bytes) -> str:
    folder = queue_directory(home) + "/lock"
    if not os.access(folder + "/.", os.X_OK):
        raise _failure(action, _stat_error(folder))
    return folder


def _stat_error(path: str) -> OSError:
    try:
        os.stat(path + "/.")
    except OSError as error:
        return error
    return PermissionError(13, "access denied")


def _open(path: str, action: bytes) -> int:
    try:
        return files.open_to_overwrite(path)
    except OSError as error:
        raise _failure(action, error) from error


def _read_locked(lock: int, descriptor: int) -> bytes:
    try:
        lock_exclusively(lock)
    except OSError as error:
        raise _failure(b"lock tcpto", error) from error
    try:
        return os.read(descriptor, TCPTO_SIZE + TCPTO_IPV6_SIZE)
    except OSError as error:
        raise _failure(b"read tcpto", error) from error


def _failure(action: bytes, error: OSError) -> TransientFailure:
    return TransientFailure(b"unable to " + action + b": " + error_text(error))
