"""How qmail-queue ends: its exit codes, and what its clients say about them."""

from __future__ import annotations

from pyqmail.errors import Failure, PermanentFailure, TransientFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

QUEUED: Final = 0
ADDRESS_TOO_LONG: Final = 11
REFUSED: Final = 31
OUT_OF_MEMORY: Final = 51
TIMEOUT: Final = 52
WRITE_ERROR: Final = 53
READ_ERROR: Final = 54
NO_CONFIGURATION: Final = 55
NO_SOCKET: Final = 56
NO_HOME: Final = 61
NO_QUEUE: Final = 62
NO_PID_FILE: Final = 63
NO_MESSAGE_FILE: Final = 64
NO_INTENT_FILE: Final = 65
NO_TODO_FILE: Final = 66
REFUSED_FOR_NOW: Final = 71
SERVER_SILENT: Final = 72
SERVER_ABSENT: Final = 73
CONNECTION_BROKE: Final = 74
BUG: Final = 81
CUSTOM_TEXT: Final = 82
BAD_ENVELOPE: Final = 91
CANNOT_EXECUTE: Final = 120

_PERMANENT: Final = {
    11: b"envelope address too long for qq (#5.1.3)",
    31: b"mail server permanently rejected message (#5.3.0)",
    115: b"envelope address too long for qq (#5.1.3)",
}

_FILE_TROUBLE: Final = b"qq trouble creating files in queue (#4.3.0)"

_TRANSIENT: Final = {
    51: b"qq out of memory (#4.3.0)",
    52: b"qq timeout (#4.3.0)",
    53: b"qq write error or disk full (#4.3.0)",
    54: b"qq read error (#4.3.0)",
    55: b"qq unable to read configuration (#4.3.0)",
    56: b"qq trouble making network connection (#4.3.0)",
    61: b"qq trouble in home directory (#4.3.0)",
    62: _FILE_TROUBLE,
    63: _FILE_TROUBLE,
    64: _FILE_TROUBLE,
    65: _FILE_TROUBLE,
    66: _FILE_TROUBLE,
    71: b"mail server temporarily rejected message (#4.3.0)",
    72: b"connection to mail server timed out (#4.4.1)",
    73: b"connection to mail server rejected (#4.4.1)",
    74: b"communication with mail server failed (#4.4.2)",
    81: b"qq internal bug (#4.3.0)",
    91: b"qq internal bug (#4.3.0)",
    120: b"unable to exec qq (#4.3.0)",
}

CRASHED: Final = b"qq crashed (#4.3.0)"

# A substitute for qmail-queue may use these to refuse a message for good.
_PERMANENT_RANGE: Final = range(11, 41)

_MIN_CUSTOM_TEXT: Final = 3  # bytes; a shorter text on descriptor 6 counts as none


class QueueFailure(TransientFailure):
    """The queue did not take a message; `code` is qmail-queue's exit code for it.

    Whether a client takes it as permanent is for `failure_of()` to say.
    """

    def __init__(self, code: int, text: bytes = b"") -> None:
        super().__init__(text or _TRANSIENT.get(code, b"qq temporary problem (#4.3.0)"))
        self.code = code


def failure_of(code: int, custom_text: bytes = b"") -> Failure:
    """Return what a client of qmail-queue reports for an exit code other than 0.

    `custom_text` is what came on descriptor 6. It counts for code 82 alone; its
    first letter says whether the failure is permanent, as that of every text here would.
    """
    if code == CUSTOM_TEXT and len(custom_text) >= _MIN_CUSTOM_TEXT:
        permanent = custom_text.startswith(b"D")
        return (PermanentFailure if permanent else TransientFailure)(custom_text[1:])
    if code in _PERMANENT:
        return PermanentFailure(_PERMANENT[code])
    if code in _TRANSIENT:
        return TransientFailure(_TRANSIENT[code])
    if code in _PERMANENT_RANGE:
        return PermanentFailure(b"qq permanent problem (#5.3.0)")
    return TransientFailure(b"qq temporary problem (#4.3.0)")
