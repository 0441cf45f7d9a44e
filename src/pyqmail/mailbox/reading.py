"""Read an mbox: where each message begins, and what it was before it was quoted; mbox(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

# A message begins at the start of the file, or after an empty line: programs that quote
# nothing leave `From ` at the start of lines of letters.
_BEGIN: Final = re.compile(rb"(?:\A|\n\n|\n\r\n)(?=From )")
_QUOTED: Final = re.compile(rb"^>(?=>*From )", re.MULTILINE)
_STATUS: Final = re.compile(rb"^Status: ([A-Z]*)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of an mbox, as it is in a Maildir."""

    from_line: bytes  # empty if it had none
    text: bytes
    seen: bool


def letters(mbox: bytes | mmap.mmap) -> Iterator[Letter]:
    """Yield the messages of an mbox; what stands before the first is a message, too."""
    starts = [match.end() for match in _BEGIN.finditer(mbox)]
    if len(mbox) and (not starts or starts[0] > 0):
        starts.insert(0, 0)
    for start, end in pairwise([*starts, len(mbox)]):
        yield _letter(mbox[start:end])


def _letter(entry: bytes) -> Letter:
    from_line = b""
    if entry.startswith(b"From "):
        from_line, _, entry = entry.partition(b"\n")
    # The empty line at the end is the mbox's, not the letter's.
    text = entry.removesuffix(b"\n") if entry.endswith(b"\n\n") else entry
    status = _STATUS.search(text.partition(b"\n\n")[0])
    seen = status is not None and b"R" in status[1].upper()
    return Letter(from_line, _QUOTED.sub(b"", text), seen)
