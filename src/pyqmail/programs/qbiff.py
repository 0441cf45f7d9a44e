"""qbiff - announce new mail on the terminals of its user. See qbiff(1).

Runs as the user whose `.qmail` names it; writes to terminals of that user on
which `biff y` was said.
"""

from __future__ import annotations

from pyqmail.message.header import contents, field_name, read_header
from pyqmail.programs.run import run
from pyqmail.system.standard_input import open_input
from pyqmail.system.terminals import terminals_of, write_to_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final, NoReturn

TEXT_SIZE: Final = 78  # bytes of the line that shows the message
_PRINTABLE: Final = range(32, 127)
_MASKED_ADDRESS: Final = bytes(b if b in _PRINTABLE else ord("_") for b in range(256))
_MASKED_TEXT: Final = bytes(b if b in _PRINTABLE else ord("/") for b in range(256))


def main() -> NoReturn:
    """Run as the command `qbiff`."""
    run("qbiff", qbiff)


def qbiff(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Announce the message on descriptor 0; succeed whatever happens, for it is no delivery."""
    try:
        user, sender, local = (environ[name] for name in (b"USER", b"SENDER", b"LOCAL"))
        text = announcement(local, sender, _beginning())
        for terminal in terminals_of(user):
            write_to_terminal(terminal, text)
    except (KeyError, OSError):
        pass  # qbiff(1): it never fails
    return 0


def announcement(local: bytes, sender: bytes, beginning: bytes) -> bytes:
    """Return what a terminal is shown; nothing in it can control the terminal."""
    first = b"*** TO <%b> FROM <%b>" % (local, sender)
    second = (b"    " + beginning)[:TEXT_SIZE]
    return b"\r\n\a%b\r\n%b\r\n" % (
        first.translate(_MASKED_ADDRESS),
        second.translate(_MASKED_TEXT),
    )


def _beginning() -> bytes:
    """Return subjects and body of the message, as much as can be shown."""
    stream = open_input()
    header = read_header(stream)
    subjects = [contents(field) for field in header.fields if field_name(field) == b"subject"]
    return b"".join(subjects) + header.body_start + stream.read(TEXT_SIZE)
