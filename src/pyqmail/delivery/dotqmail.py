"""What a `.qmail` file is called, and what its lines mean; dot-qmail(5).

Nothing here touches the disk: names go out, text comes in.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

MAILDIR: Final = b"maildir"
MBOX: Final = b"mbox"
PROGRAM: Final = b"program"
FORWARD: Final = b"forward"
REFUSAL: Final = b"refusal"  # a line that must not be obeyed; its text says why

BLANK: Final = b"Uh-oh: first line of .qmail file is blank. (#4.2.1)"
NO_FILES: Final = b"Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)"
NO_PROGRAMS: Final = b"Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)"

_DEFAULT: Final = b"default"


class Instruction:
    """One line that says what to do with a message: `kind` is a constant of this module."""

    __slots__ = ("kind", "text")

    def __init__(self, kind: bytes, text: bytes) -> None:
        self.kind = kind
        self.text = text

    @property
    def argument(self) -> bytes:
        """Return the file, command or address; a NUL ends it, as it ends every C string."""
        return self.text.partition(b"\0")[0]


def parse_instructions(text: bytes, *, forward_only: bool) -> list[Instruction]:
    """Return what the lines of a `.qmail` file say, in order.

    `forward_only` is what the x bit of the file means; the line `+list` means
    it for the lines after it. A line that is not allowed becomes a REFUSAL,
    which is to be raised only when its turn comes: what stands before it is done.
    """
    instructions = []
    lines = text.removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines):
        stripped = line.rstrip(b" \t")
        first = stripped[:1]
        if first in (b"", b"\0"):
            if number == 0:
                instructions.append(Instruction(REFUSAL, BLANK))
        elif first == b"+":
            forward_only = forward_only or stripped.partition(b"\0")[0] == b"+list"
        elif first != b"#":
            instructions.append(_instruction(stripped, forward_only=forward_only))
    return instructions


def _instruction(line: bytes, *, forward_only: bool) -> Instruction:
    first = line[:1]
    if first in (b".", b"/"):
        if forward_only:
            return Instruction(REFUSAL, NO_FILES)
        return Instruction(MAILDIR if line.endswith(b"/") else MBOX, line)
    if first == b"|":
        if forward_only:
            return Instruction(REFUSAL, NO_PROGRAMS)
        return Instruction(PROGRAM, line[1:])
    return Instruction(FORWARD, line[1:] if first == b"&" else line)


def safe_extension(extension: bytes) -> bytes:
    """Return the extension as it stands in a file name: no upper case, no dots.

    So no address reaches another directory through `..`.
    """
    return extension.lower().replace(b".", b":")


def candidates(dash: bytes, extension: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the names under which the file may lie, in order, with DEFAULT for each.

    DEFAULT is the part of the extension that the word `default` at the end of
    the name stands for, or None where the name has no such word.
    """
    safe = safe_extension(extension)
    start = b".qmail" + dash
    named = extension[-len(_DEFAULT) :] if safe.endswith(_DEFAULT) else None
    yield start + safe, named
    length = len(safe) + 1
    while length:
        # The next shorter part that is empty or ends with a dash.
        length = safe.rfind(b"-", 0, length - 1) + 1
        yield start + safe[:length] + _DEFAULT, extension[length:]


def owner_files(dash: bytes, extension: bytes) -> tuple[bytes, bytes]:
    """Return the names of the files that give a list an owner, and one for each recipient."""
    name = b".qmail" + dash + safe_extension(extension)
    return name + b"-owner", name + b"-owner-default"
