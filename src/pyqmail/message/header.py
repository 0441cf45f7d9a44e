"""Header fields: where a header section ends, and what a field is called (RFC 5322 §2.2).

A field is kept as it came: name, colon, contents, continuation lines, with the
final LF. A line ends in LF; CR is a byte like any other.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME_BYTES = bytes(range(33, 127))  # RFC 5322 §3.6.8


class HeaderSection:
    """The fields of a message, and what of its body has been read with them.

    `body_start` is empty if the input ended inside the header section;
    otherwise it begins with the empty line.
    """

    __slots__ = ("body_start", "fields")

    def __init__(self, fields: list[bytes], body_start: bytes) -> None:
        self.fields = fields
        self.body_start = body_start


def read_header(lines: Iterable[bytes]) -> HeaderSection:
    """Read the header section from the lines of a message, and not a line more.

    Its end is an empty line, or the first line that is neither a field nor the
    continuation of one; such a line belongs to the body. A line that begins
    `From ` is kept as the field MBOX-Line.
    """
    fields: list[bytes] = []
    pieces: list[bytes] = []  # the lines of the last field
    body_start = b""
    for line in map(_complete_line, lines):
        if pieces and line[0] in b" \t":
            pieces.append(line)
            continue
        fields += _joined(pieces)
        pieces = [b"MBOX-Line: ", line] if line.startswith(b"From ") else [line]
        if not is_field(pieces[0]):
            body_start = line if line == b"\n" else b"\n" + line
            pieces = []
            break
    fields += _joined(pieces)
    return HeaderSection(fields, body_start)


def _complete_line(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _joined(pieces: list[bytes]) -> list[bytes]:
    return [b"".join(pieces)] if pieces else []


def is_field(line: bytes) -> bool:
    """Does `line` begin with the name of a field and a colon?"""
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t")
    return bool(colon and name) and not name.translate(None, _NAME_BYTES)


def field_name(field: bytes) -> bytes:
    """Return the name of `field` in lower case."""
    return field.partition(b":")[0].rstrip(b" \t").lower()


def contents(field: bytes) -> bytes:
    """Return what follows the colon of `field`, without the blanks before it."""
    return field.partition(b":")[2].lstrip(b" \t\r\n")
