"""Header fields: where a header section ends, and what a field is called (RFC 5322 §2.2).

A field is kept as it came: name, colon, contents, continuation lines, with the
final LF. A line ends in LF; CR is a byte like any other.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME_BYTES = bytes(range(33, 127))  # RFC 5322 §3.6.8


class HeaderReader:
    """Gives the fields of a message one after the other, and keeps none.

    Iterate over it once; from `lines` it takes those of the header section,
    and not a line more. The end of the section is an empty line, or the first
    line that is neither a field nor the continuation of one; such a line
    belongs to the body. A line that begins `From ` is given as the field
    MBOX-Line.

    `body_start` is what of the body has been read then: empty if the input
    ended inside the header section; otherwise it begins with the empty line.
    """

    __slots__ = ("_lines", "body_start")

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.body_start = b""

    def __iter__(self) -> Iterator[bytes]:
        field = bytearray()  # many short lines need little memory in it
        for line in self._lines:
            if field and line[0] in b" \t":
                field += line
                continue
            if field:
                yield _complete(field)
            field = bytearray(b"MBOX-Line: " + line if line.startswith(b"From ") else line)
            if not is_field(field):
                self.body_start = _complete(field) if line == b"\n" else b"\n" + _complete(field)
                return
        if field:
            yield _complete(field)


class HeaderSection:
    """The fields of a message, and what of its body has been read with them."""

    __slots__ = ("body_start", "fields")

    def __init__(self, fields: list[bytes], body_start: bytes) -> None:
        self.fields = fields
        self.body_start = body_start


def read_header(lines: Iterable[bytes]) -> HeaderSection:
    """Read a whole header section; see HeaderReader."""
    reader = HeaderReader(lines)
    return HeaderSection(list(reader), reader.body_start)


def _complete(text: bytearray) -> bytes:
    return bytes(text) if text.endswith(b"\n") else bytes(text + b"\n")


def is_field(line: bytes | bytearray) -> bool:
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
