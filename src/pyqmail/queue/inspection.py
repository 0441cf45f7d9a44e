"""Looking at the queue without touching it: what qmail-qread and qmail-qstat show.

It is read while qmail-send works, so a message may go while we look: then it
is trouble with that message and no other.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyqmail.errors import TransientFailure
from pyqmail.message.date import rfc822_date
from pyqmail.queue import layout
from pyqmail.queue.envelope_file import DamagedEnvelope, records
from pyqmail.queue.store import CHANNELS
from pyqmail.system import files
from pyqmail.system.errnos import error_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_ZONE = b" -0000"

# Printable ASCII stays, everything else becomes `_`.
_VISIBLE = bytes(byte if 32 <= byte <= 126 else ord("_") for byte in range(256))  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Listed:
    """A preprocessed message as it lies in the queue."""

    number: int
    birth: int
    size: int
    reverse_path: bytes
    bouncing: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """A message, or what is left of one, that could not be read."""

    number: int
    reason: bytes


def list_messages(home: str) -> Iterator[Listed | Trouble]:
    """Yield the preprocessed messages. Raises TransientFailure if the queue cannot be read."""
    queue = layout.queue_directory(home)
    if not os.path.isdir(queue) or not os.access(queue, os.X_OK):
        raise TransientFailure(b"unable to chdir: " + _reason(queue))
    for part in range(layout.SPLIT):
        name = f"info/{part}"
        try:
            entries = os.listdir(f"{queue}/{name}")
        except OSError as error:
            text = b"unable to opendir " + name.encode() + b": " + error_text(error)
            raise TransientFailure(text) from error
        for number in map(layout.parse_number, entries):
            if number is not None:
                yield _look_at(queue, number, layout.info_path(number))


def list_new_messages(home: str) -> Iterator[Listed | Trouble]:
    """Yield the messages that are accepted and have no info yet: qmail-send has not seen to them.

    It may deliver one of them at this moment: what is delivered at once never gets an info.
    """
    queue = layout.queue_directory(home)
    try:
        entries = os.listdir(f"{queue}/todo")
    except OSError as error:
        raise TransientFailure(b"unable to opendir todo: " + error_text(error)) from error
    for number in map(layout.parse_number, entries):
        if number is not None and not os.path.exists(f"{queue}/{layout.info_path(number)}"):
            yield _look_at(queue, number, layout.todo_path(number))


def list_recipients(home: str, number: int) -> Iterator[tuple[str, bytes, bool] | Trouble]:
    """Yield channel, address and whether it is done, local ones first."""
    queue = layout.queue_directory(home)
    for channel in CHANNELS:
        try:
            descriptor = files.open_to_read(f"{queue}/{layout.recipients_path(channel, number)}")
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Trouble(number, error_text(error))
            continue
        try:
            for record in _whole_records(descriptor):
                if record[:1] in (b"T", b"D"):
                    yield channel, record[1:], record[:1] == b"D"
        finally:
            os.close(descriptor)


def describe(message: Listed) -> bytes:
    """Return the line of qmail-qread about a message."""
    line = b"%b GMT  #%d  %d  <%b> %b" % (
        rfc822_date(message.birth).removesuffix(_ZONE),
        message.number,
        message.size,
        message.reverse_path,
        b" bouncing" if message.bouncing else b"",
    )
    return line.translate(_VISIBLE) + b"\n"


def describe_recipient(channel: str, address: bytes, *, done: bool) -> bytes:
    """Return the line of qmail-qread about a recipient."""
    mark = b"  done" if done else b""
    return b"%b\t%b\t%b\n" % (mark, channel.encode(), address.translate(_VISIBLE))


def count_files(path: str) -> int:
    """Return how many regular files lie below `path`, whatever their names."""
    count = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                count += stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode)
            except FileNotFoundError:
                continue  # it has just gone
    return count


def _look_at(queue: str, number: int, envelope_path: str) -> Listed | Trouble:
    """Read the reverse path in info or todo, and what else a list shows."""
    try:
        size = os.stat(f"{queue}/{layout.message_path(number)}").st_size
        bouncing = os.path.exists(f"{queue}/{layout.bounce_path(number)}")
        descriptor = files.open_to_read(f"{queue}/{envelope_path}")
        try:
            birth = int(os.fstat(descriptor).st_mtime)
            record = next((r for r in _whole_records(descriptor) if r[:1] not in {b"u", b"p"}), b"")
        finally:
            os.close(descriptor)
    except OSError as error:
        return Trouble(number, error_text(error))
    return Listed(number, birth, size, record[1:], bouncing)


def _whole_records(descriptor: int) -> Iterator[bytes]:
    """Yield what is whole; of a file that is being written, the end may be missing."""
    try:
        yield from records(lambda: os.read(descriptor, files.READ_SIZE))
    except DamagedEnvelope:
        return


def _reason(path: str) -> bytes:
    try:
        os.stat(path + "/.")
    except OSError as error:
        return error_text(error)
    return b"access denied"
