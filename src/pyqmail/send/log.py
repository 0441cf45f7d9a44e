"""The lines of qmail-send's log; qmail-log(5).

Programs read these lines, so each is built in one place. What strangers chose,
addresses and reports, passes through `safe()`: it can neither end a line nor
look like another field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPACE: Final = 32
_DELETE: Final = 127


def _shown(byte: int) -> int:
    if byte == ord("\n"):
        return ord("/")
    return byte if _SPACE < byte < _DELETE and byte != ord("%") else ord("_")


_SAFE: Final = bytes(_shown(byte) for byte in range(256))

EXITING: Final = b"status: exiting"
RUNNING_ALREADY: Final = b"alert: cannot start: qmail-send is already running"
NO_HOME: Final = b"alert: cannot start: unable to switch to home directory"
NO_QUEUE: Final = b"alert: cannot start: unable to switch to queue directory"
NO_CONTROLS: Final = b"alert: cannot start: unable to read controls"
NO_MUTEX: Final = b"alert: cannot start: unable to open mutex"
NO_JOURNAL: Final = b"alert: cannot start: unable to read queue/journal"
AWAITS_RECOVERY: Final = (
    b"alert: waiting until qmail-queued has recovered messages from queue/journal"
)
NO_SPAWNER: Final = b"alert: cannot start: hath the daemon spawn no fire?"
CLEANER_LOST: Final = b"alert: oh no! lost qmail-clean connection! dying..."
SPAWNER_LOST: Final = b"alert: oh no! lost spawn connection! dying..."
REREAD_NO_HOME: Final = b"alert: unable to reread controls: unable to switch to home directory"
REREAD_LOCALS: Final = b"alert: unable to reread control/locals"
REREAD_VIRTUALDOMAINS: Final = b"alert: unable to reread control/virtualdomains"
NOTE_NOT_WRITTEN: Final = b"alert: unable to append to bounce message; HELP! sleeping..."
BOUNCE_NOT_QUEUED: Final = b"trouble injecting bounce message, will try later"
NOTICE_NOT_QUEUED: Final = b"trouble injecting notice, will try later"
QUEUE_NOT_STARTED: Final = b"unable to start qmail-queue, will try later"
REPORT_OUT_OF_RANGE: Final = b"warning: internal error: delivery report out of range"

MAX_DEFECT: Final = 1000  # bytes of what may quote a peer


def safe(text: bytes) -> bytes:
    """Return `text` as the log shows it: printable, without spaces and percent signs."""
    return text.translate(_SAFE)


def status(used: Iterable[tuple[bytes, int, int]], *, exiting: bool) -> bytes:
    """Return the status line; `used` has name, deliveries running and limit of each channel."""
    channels = b" ".join(b"%b %d/%d" % channel for channel in used)
    return b"status: " + channels + (b" exitasap" if exiting else b"")


def new_message(number: int) -> bytes:
    """Return the line that begins the life of a message."""
    return b"new msg %d" % number


def message_info(number: int, size: int, reverse_path: bytes, qp: int, uid: int) -> bytes:
    """Return the line that says where a message comes from."""
    return b"info msg %d: bytes %d from <%b> qp %d uid %d" % (
        *(number, size, safe(reverse_path), qp, uid),
    )


def starting(delivery: int, number: int, channel: str, address: bytes) -> bytes:
    """Return the line that begins a delivery."""
    where = channel.encode()
    return b"starting delivery %d: msg %d to %b %b" % (delivery, number, where, safe(address))


def delivered(delivery: int, text: bytes) -> bytes:
    """Return the line of a delivery that succeeded."""
    return b"delivery %d: success: %b" % (delivery, safe(text))


def failed(delivery: int, text: bytes) -> bytes:
    """Return the line of a delivery that failed for good."""
    return b"delivery %d: failure: %b" % (delivery, safe(text))


def deferred(delivery: int, text: bytes) -> bytes:
    """Return the line of a delivery that will be tried again."""
    return b"delivery %d: deferral: %b" % (delivery, safe(text))


def mangled(delivery: int) -> bytes:
    """Return the line of a delivery whose report nobody understands."""
    return b"delivery %d: report mangled, will defer" % delivery


def bounced(number: int, qp: int) -> bytes:
    """Return the line that says that the failures of a message are reported."""
    return b"bounce msg %d qp %d" % (number, qp)


def triple_bounce(number: int) -> bytes:
    """Return the line that says that nobody will ever hear of these failures."""
    return b"triple bounce: discarding bounce/%d" % number


def told(number: int, qp: int) -> bytes:
    """Return the line that says that the sender is told of a success or a delay."""
    return b"notice msg %d qp %d" % (number, qp)


def not_told(number: int) -> bytes:
    """Return the warning that a sender will not be told."""
    return b"warning: msg %d: a notice to its sender could not be queued and is dropped" % number


def end(number: int) -> bytes:
    """Return the line that ends the life of a message."""
    return b"end msg %d" % number


def warning(text: bytes) -> bytes:
    """Return a warning; `text` says what is wrong and what happens now."""
    return b"warning: " + text


def will_try_again(text: bytes) -> bytes:
    """Return the warning that something goes on later."""
    return b"warning: " + text + b"; will try again later"


def unreadable(text: bytes, *, damaged: bool = False) -> bytes:
    """Return the line about something in the queue that is looked at again later; `damaged`: never.

    The original stands still when it cannot read a directory, and says so; readers of the
    log know the line. We go on with everything else.
    """
    if text.startswith(b"unable to opendir "):
        return b"alert: " + text + b", sleeping..."
    if damaged:
        return b"alert: " + text
    return warning(text)


def unforeseen(message_path: bytes, text: bytes, where: bytes) -> bytes:
    """Return the alert about a defect that has deferred a remote delivery of a message."""
    number = message_path.rpartition(b"/")[2]
    what = safe(text[:MAX_DEFECT])
    return b"alert: qmail-rspawn: msg %b: unexpected %b at %b" % (number, what, where)


def set_aside(number: int, text: bytes) -> bytes:
    """Return the alert that a damaged message waits for a human."""
    return b"alert: msg %d set aside, a file of it is damaged: %b" % (number, text)
