"""Lexical tokens of structured header fields (RFC 5322 §3.2), read and printed.

The rules are those of RFC 822, a little more generous, as qmail has them: any
byte may stand in a word, and nested comments lose their inner parentheses.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final


class FieldSyntaxError(ValueError):
    """A field, or an address list in it, is not made as the standard says."""


class Token:
    """A piece of a structured field; a value.

    `kind` is ATOM, QUOTED, LITERAL or COMMENT, and `text` is the word without
    its quotes, brackets, parentheses and backslashes. Of any other token, both
    are the special character itself.
    """

    __slots__ = ("kind", "text")

    def __init__(self, kind: bytes, text: bytes) -> None:
        self.kind = kind
        self.text = text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Token):
            return NotImplemented
        return self.kind == other.kind and self.text == other.text

    def __hash__(self) -> int:
        return hash((self.kind, self.text))

    def __repr__(self) -> str:
        return f"Token({self.kind!r}, {self.text!r})"


ATOM: Final = b"atom"
QUOTED: Final = b"quoted word"
LITERAL: Final = b"literal"
COMMENT: Final = b"comment"

_SPECIALS: Final = {byte: Token(bytes((byte,)), bytes((byte,))) for byte in b".,@<>:;"}
DOT, COMMA, AT, LEFT, RIGHT, COLON, SEMICOLON = _SPECIALS.values()

# What begins a word in brackets: its kind, what ends it, and what nests in it.
_BRACKETS: Final = {
    ord("("): (COMMENT, ord(")"), ord("(")),
    ord('"'): (QUOTED, ord('"'), None),
    ord("["): (LITERAL, ord("]"), None),
}
_BLANKS: Final = b" \t\r\n"
_BACKSLASH: Final = ord("\\")
_ATOM_ENDS: Final = b' \t\r\n(["<>;:@,.'
# Turns what ends an atom into spaces: one search then finds the nearest of them.
_ATOM_MAP: Final = bytes(32 if byte in _ATOM_ENDS else 97 for byte in range(256))
# An atom of other bytes than these is printed as a quoted word.
_ATOM_BYTES: Final = bytes(byte for byte in range(32, 127) if byte not in b")]\\")


def tokenise(text: bytes) -> list[Token]:
    """Return the tokens of `text`; blanks between them are dropped.

    Raises FieldSyntaxError if a parenthesis, bracket or quote has no partner.
    """
    tokens: list[Token] = []
    atom_map = text.translate(_ATOM_MAP)
    position = 0
    while position < len(text):
        byte = text[position]
        if byte in _BLANKS:
            position += 1
        elif byte in _SPECIALS:
            tokens.append(_SPECIALS[byte])
            position += 1
        elif byte in _BRACKETS:
            kind, closing, opening = _BRACKETS[byte]
            content, position = _bracketed(text, position + 1, closing, opening)
            tokens.append(Token(kind, content))
        elif byte in b")]":
            raise FieldSyntaxError("a parenthesis or bracket closes what nothing has opened")
        else:
            end = atom_map.find(b" ", position)
            content, position = _atom(text, position, len(text) if end < 0 else end)
            kind = QUOTED if content.translate(None, _ATOM_BYTES) else ATOM
            tokens.append(Token(kind, content))
    return tokens


def _bracketed(text: bytes, position: int, closing: int, opening: int | None) -> tuple[bytes, int]:
    """Return what stands from `position` up to `closing`, and where the text goes on."""
    content = bytearray()
    level = 1
    escaped = False
    for index in range(position, len(text)):
        byte = text[index]
        if escaped:
            content.append(byte)
            escaped = False
        elif byte == _BACKSLASH:
            escaped = True
        elif byte == closing:
            level -= 1
            if not level:
                return bytes(content), index + 1
        elif byte == opening:
            level += 1
        else:
            content.append(byte)
    raise FieldSyntaxError("a comment, quoted word or literal does not end")


def _atom(text: bytes, position: int, end: int) -> tuple[bytes, int]:
    """Return the atom that stands from `position` to `end`, and where the text goes on."""
    if text.find(b"\\", position, end) < 0:
        return text[position:end], end
    # With backslashes in it, an atom may go on after what would have ended it.
    content = bytearray()
    while position < len(text) and text[position] not in _ATOM_ENDS:
        if text[position] == _BACKSLASH:
            position += 1
        content += text[position : position + 1]
        position += 1
    return bytes(content), min(position, len(text))


# Printing: qmail keeps no spacing, it makes its own.

MAX_LINE: Final = 78  # bytes, LF excluded; RFC 5322 §2.1.1
_WORDS: Final = (ATOM, QUOTED, LITERAL, COMMENT)
_FRAMES: Final = {ATOM: b"%b", QUOTED: b'"%b"', LITERAL: b"[%b]", COMMENT: b"(%b)"}
_ESCAPED: Final = b'\\"[]()\r\n'  # the backslash first: it must not be doubled twice


def print_tokens(tokens: Iterable[Token]) -> bytes:
    """Return `tokens` as a field that ends in LF, folded after commas where it gets too long."""
    line, *elements = _elements(tokens)
    lines: list[bytes] = []
    for element in elements:
        if len(line) + len(element) <= MAX_LINE:
            line += element
        else:
            lines.append(line)
            line = b" " + element
    lines.append(line + b"\n")
    return b"\n".join(lines)


def _elements(tokens: Iterable[Token]) -> list[bytes]:
    """Return the printed tokens, cut after each comma."""
    elements: list[bytes] = []
    pieces: list[bytes] = []
    previous = b""
    for token in tokens:
        kind = token.kind
        if previous and _need_space(previous, kind):
            pieces.append(b" ")
        previous = kind
        frame = _FRAMES.get(kind)
        pieces.append(token.text if frame is None else frame % _escape(token.text))
        if kind == b",":
            elements.append(b"".join(pieces))
            pieces = []
    elements.append(b"".join(pieces))
    return elements


def _need_space(left: bytes, right: bytes) -> bool:
    return left in (b":", b",") or right == b"<" or (left in _WORDS and right in _WORDS)


def _escape(text: bytes) -> bytes:
    if len(text.translate(None, _ESCAPED)) == len(text):
        return text
    for byte in _ESCAPED:
        character = bytes((byte,))
        text = text.replace(character, b"\\" + character)
    return text


def bare_address(tokens: Sequence[Token]) -> bytes:
    """Return the address that `tokens` are: no quotes, no comments, no spaces."""
    return b"".join(
        b"[%b]" % token.text if token.kind == LITERAL else token.text
        for token in tokens
        if token.kind != COMMENT
    )
