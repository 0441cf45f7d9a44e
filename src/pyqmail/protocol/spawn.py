"""What qmail-send and its spawners say to each other; qmail-spawn(5).

A spawner first greets with its number of slots. qmail-send then sends jobs,
one for each recipient, and the spawner answers each with one report, in any
order. A job and its report are tied by the number of the slot: one byte, or
two (high byte first) when a concurrency above 255 is configured for the
channel. Both sides read that control file, so nothing is negotiated.

The readers take bytes as they come, in any pieces, and keep a bounded part of
what is too long, as the original does with reports.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

ONE_BYTE_SLOTS: Final = 255  # the highest concurrency that the original can be told
TWO_BYTE_SLOTS: Final = 65535

# bytes of one report that are kept, slot and letter included; the original's REPORTMAX
MAX_REPORT: Final = 10000
# bytes of one field of a job that are kept. Addresses in the queue have at most
# 1002 bytes; a virtual domain and VERP add to that, but not this much.
MAX_FIELD: Final = 16384

DELIVERED: Final = b"K"
DEFERRED: Final = b"Z"
FAILED: Final = b"D"

# How the text of a remote delivery ends when the next host was told the sender's wishes
# (RFC 3461) and has promised to obey them: then qmail-send does not tell the sender.
PASSED_ON: Final = b"It will tell the sender what the sender asked for.\n"

_WISHES: Final = (b"RET=", b"ENVID=", b"SMTPUTF8=", b"NOTIFY=", b"ORCPT=")  # what they begin with


@dataclass(frozen=True, slots=True)
class Job:
    """One recipient to deliver to. `message_path` is relative to queue/mess, as `20/457`.

    `wishes` are words that only a spawner of ours is told; see `Wishes.words_for()`.
    """

    slot: int
    message_path: bytes
    reverse_path: bytes
    forward_path: bytes
    too_long: bool = False  # a field was longer than MAX_FIELD, and only a part of it is here
    wishes: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the job in `slot`: a letter, and text for people."""

    slot: int
    letter: bytes  # DELIVERED, DEFERRED or FAILED; whatever else came is mangled
    text: bytes


def slot_width(concurrency: int) -> int:
    """Return the number of bytes that a slot takes on the wire of a channel."""
    return 1 if concurrency <= ONE_BYTE_SLOTS else 2


def slots_of_width(width: int) -> int:
    """Return how many slots can be named with `width` bytes."""
    return ONE_BYTE_SLOTS if width == 1 else TWO_BYTE_SLOTS


def encode_greeting(slots: int, width: int) -> bytes:
    """Return what a spawner says first: how many slots it has."""
    return min(slots, slots_of_width(width)).to_bytes(width, "big")


def decode_greeting(greeting: bytes) -> int:
    """Return the number of slots in a complete greeting."""
    return int.from_bytes(greeting, "big")


def encode_job(job: Job, width: int = 1) -> bytes:
    """Return the bytes of `job`; its fields must be without NUL."""
    return b"%b%b\0%b\0%b\0" % (
        job.slot.to_bytes(width, "big"),
        # The original knows three fields and no path with a space. Who has no wishes speaks as it.
        job.message_path + b" " + job.wishes if job.wishes else job.message_path,
        job.reverse_path,
        job.forward_path,
    )


def encode_report(slot: int, letter_and_text: bytes, width: int = 1) -> bytes:
    """Return the bytes of a report; a NUL in the text ends the text."""
    return slot.to_bytes(width, "big") + letter_and_text.partition(b"\0")[0] + b"\0"


def _split_wishes(field: bytes) -> tuple[bytes, bytes]:
    """Return path and wishes; whatever else has a space is a path that cannot be."""
    path, _, wishes = field.partition(b" ")
    return (path, wishes) if wishes.startswith(_WISHES) else (field, b"")


class JobReader:
    """Turns the bytes that a spawner reads into jobs.

    Call `feed()` with what arrived and go through the jobs it gives; what is
    incomplete waits for the next call.
    """

    def __init__(self, width: int = 1) -> None:
        self._width = width
        self._slot = b""
        self._fields: list[bytes] = []  # complete fields of the job that is being read
        self._rest = b""  # the kept part of the field that is being read
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Job]:
        """Yield the jobs that `data` completes."""
        position = 0
        while position < len(data):
            if len(self._slot) < self._width:
                self._slot += data[position : position + 1]
                position += 1
                continue
            end = data.find(b"\0", position)
            if end < 0:
                self._keep(data[position:])
                return
            self._keep(data[position:end])
            position = end + 1
            self._fields.append(self._rest)
            self._rest = b""
            if len(self._fields) == 3:  # noqa: PLR2004  path, sender, recipient
                yield self._finish()

    def _keep(self, piece: bytes) -> None:
        self._rest += piece
        if len(self._rest) > MAX_FIELD:
            self._rest = self._rest[:MAX_FIELD]
            self._too_long = True

    def _finish(self) -> Job:
        slot = int.from_bytes(self._slot, "big")
        path, reverse_path, forward_path = self._fields
        path, wishes = _split_wishes(path)
        job = Job(slot, path, reverse_path, forward_path, self._too_long, wishes)
        self._slot = b""
        self._fields = []
        self._too_long = False
        return job


class ReportReader:
    """Turns the bytes that qmail-send reads from a spawner into reports.

    A report that is too long is cut to MAX_REPORT bytes; the spawners are
    responsible for keeping it short, but they are not trusted to.
    """

    def __init__(self, width: int = 1) -> None:
        self._width = width
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[Report]:
        """Yield the reports that `data` completes."""
        position = 0
        while position < len(data):
            # A NUL inside the slot number does not end a report.
            missing = self._width - len(self._kept)
            if missing > 0:
                self._kept += data[position : position + missing]
                position += missing
                continue
            end = data.find(b"\0", position)
            if end < 0:
                self._kept = (self._kept + data[position:])[:MAX_REPORT]
                return
            report = (self._kept + data[position:end])[:MAX_REPORT]
            position = end + 1
            self._kept = b""
            text = report[self._width :]
            yield Report(int.from_bytes(report[: self._width], "big"), text[:1], text[1:])
