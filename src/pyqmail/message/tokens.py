r"""Lexical tokens of structured header fields (RFC 5322 §3.2), read and printed.

The rules are those of RFC 822, a little more generous, as qmail has them: any
byte may stand in a word, and nested comments lose their inner parentheses.

Tokens are kept as one string with a space between them: comments, the special
characters `,;:<>`, and addresses, whose words, dots and at-signs stand
together. What has no meaning because it is quoted, bracketed or behind a
backslash is *lifted*: each byte is 256 higher than it was. So a character
below 256 always means what it says, and a field of megabytes is taken apart by
searching and replacing, with no object for each byte. The field

    "Doe, Joe" <joe@example.org> (joe\)), ann

has the tokens `"Doe, Joe"`, `<`, `joe@example.org`, `>`, `(joe))`, `,` and `ann`,
with everything between quotes, and between the outer parentheses, lifted.
"""

from __future__ import annotations

from io import StringIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final


class FieldSyntaxError(ValueError):
    """A field, or an address list in it, is not made as the standard says."""


_LIFT: Final = 256
_BYTES: Final = "".join(map(chr, range(_LIFT)))
_LIFTED_BYTES: Final = "".join(map(chr, range(_LIFT, 2 * _LIFT)))
# A word of no bytes: nothing is printed for it, but there are spaces around it.
EMPTY: Final = chr(2 * _LIFT)

# Tables for str.translate(), from each character to its new one.
_LIFTED: Final = 2 * _LIFTED_BYTES
_LOWERED: Final = (*_BYTES, *_BYTES, "")

_CLOSING: Final = {'"': '"', "(": ")", "[": "]"}
_BLANKS: Final = "\t\r\n "
_JOINTS: Final = ".@"  # they hold an address together
_STRUCTURE: Final = ",;:<>"
_ATOM_ENDS: Final = f'{_BLANKS}{_JOINTS}{_STRUCTURE}(["'
# An atom of other characters than these is a quoted word.
_ATOM_BYTES: Final = "".join(character for character in _BYTES[32:127] if character not in ")]\\")
_ATOM: Final = _ATOM_BYTES + _ATOM_BYTES.translate(_LIFTED) + EMPTY
# What may stand in an atom as it is stays, and what may not is lifted.
_PLAIN: Final = (
    "".join(
        " " if byte in _BLANKS else byte if byte in _BYTES[32:127] else lifted
        for byte, lifted in zip(_BYTES, _LIFTED_BYTES, strict=True)
    )
    + _LIFTED_BYTES
)


def atom(text: bytes) -> str:
    """Return the token of a word that is printed without quotes, whatever is in it."""
    return _lift(text.decode("latin-1"))


def quoted_word(text: bytes) -> str:
    """Return the token of a word between quotes."""
    return f'"{atom(text)}"'


def comment(text: bytes) -> str:
    """Return the token of a comment."""
    return f"({atom(text)})"


def tokenise(text: bytes) -> str:
    """Return the tokens of `text`.

    Raises FieldSyntaxError if a parenthesis, bracket or quote has no partner.
    """
    tokens = _separated(_lift_brackets(_lift_escaped(text.decode("latin-1"))))
    return tokens if tokens.isascii() else " ".join(map(_quote_odd_words, windows(tokens)))


def windows(tokens: str, size: int = 16384) -> Iterator[str]:
    """Yield `tokens` in pieces that are not much longer than `size`: splitting them is cheap."""
    start = 0
    while start < len(tokens):
        end = tokens.find(" ", start + size)
        end = len(tokens) if end < 0 else end
        yield tokens[start:end]
        start = end + 1


def _lift(text: str) -> str:
    return text.translate(_LIFTED)


def _lift_escaped(text: str) -> str:
    """Take the backslashes out, and their meaning from the characters behind them."""
    if "\\" not in text:
        return text
    # The backslash comes first: one that is escaped does not escape the next character.
    for character in f"\\{_ATOM_ENDS})]":
        text = text.replace("\\" + character, _lift(character))
    # Behind a last backslash stands nothing, and that is a word too.
    text = text.removesuffix("\\") + EMPTY if text.endswith("\\") else text
    return text.replace("\\", "")


def _lift_brackets(text: str) -> str:
    """Lift what stands in quotes, parentheses and brackets, and put spaces around it."""
    brackets = text.replace("(", '"').replace("[", '"').replace(")", '"').replace("]", '"')
    lifted = StringIO()
    word_end = position = 0
    while (start := brackets.find('"', position)) >= 0:
        if start > position:
            lifted.write(_lift_odd(text[position:start]))
        bracket = text[start]
        if bracket in _CLOSING:
            position = word_end = _end_of_word(text, start)
            lifted.write(f" {bracket}{_content(text[start:position])}{_CLOSING[bracket]} ")
        elif start == word_end or text[start - 1] in _ATOM_ENDS:
            raise FieldSyntaxError("a parenthesis or bracket closes what nothing has opened")
        else:  # within an atom it is a character like any other
            lifted.write(_lift(bracket))
            position = start + 1
    lifted.write(_lift_odd(text[position:]))
    return lifted.getvalue()


def _end_of_word(text: str, start: int) -> int:
    """Return where the text goes on after the bracketed word that begins at `start`."""
    opening = text[start]
    level = 1
    end = start + 1
    while level:
        closing = text.find(_CLOSING[opening], end)
        if closing < 0:
            raise FieldSyntaxError("a comment, quoted word or literal does not end")
        # Only comments nest.
        level += (text.count("(", end, closing) if opening == "(" else 0) - 1
        end = closing + 1
    return end


def _content(word: str) -> str:
    content = word[1:-1]
    return _lift(content.replace("(", "").replace(")", "") if word[0] == "(" else content)


def _lift_odd(text: str) -> str:
    return text if text.isascii() and text.isprintable() else text.translate(_PLAIN)


def _separated(text: str) -> str:
    """Put one space between two tokens, and none into an address."""
    text = _close_up(_single_spaced(text), _JOINTS)
    for special in _STRUCTURE:
        text = text.replace(special, f" {special} ")
    return _single_spaced(text.replace("(", " (").replace(")", ") ")).strip(" ")


def _single_spaced(text: str) -> str:
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _close_up(text: str, specials: str) -> str:
    """Take the spaces around `specials` away."""
    for special in specials:
        text = text.replace(f" {special}", special).replace(f"{special} ", special)
    return text


def _quote_odd_words(tokens: str) -> str:
    words = [token if token.isascii() else _quote_odd(token) for token in tokens.split(" ")]
    return " ".join(words)


def _quote_odd(address: str) -> str:
    """Make quoted words of the atoms that may not stand alone."""
    return "@".join(
        ".".join(_quoted_if_odd(word) for word in words.split(".")) for words in address.split("@")
    )


def _quoted_if_odd(word: str) -> str:
    if word[:1] in _CLOSING or not word.strip(_ATOM):
        return word
    return f'"{_lift(word)}"'


def address_of(tokens: Iterable[str]) -> str:
    """Return `tokens` as one token, an address."""
    return _close_up(" ".join(tokens), _JOINTS + _STRUCTURE)


def bare_address(address: str) -> bytes:
    """Return the address that the tokens are: no quotes, no comments, no spaces."""
    if "(" in address:
        first, *rest = address.split("(")
        address = first + "".join(part.partition(")")[2] for part in rest)
    bare = address.replace('"', "").replace(" ", "")
    return bare.encode() if bare.isascii() else bare.translate(_LOWERED).encode("latin-1")


# Printing: qmail keeps no spacing, it makes its own.

MAX_LINE: Final = 78  # bytes, LF excluded; RFC 5322 §2.1.1
_PRINTED: Final = (
    *_BYTES,
    *("\\" + byte if byte in '\\"[]()\r\n' else byte for byte in _BYTES),
    "",
)


def print_tokens(tokens: Iterable[str]) -> Iterator[bytes]:
    """Yield a field that ends in LF, folded after commas where it gets too long.

    The tokens may come in any number of pieces, and so does the field.
    """
    length = 0  # of the line so far
    for elements in _elements(tokens):
        lines = []
        for element in elements:
            if length and length + len(element) > MAX_LINE:
                lines.append(b"\n ")
                length = len(" ")
            lines.append(element)
            length += len(element)
        yield b"".join(lines)
    yield b"\n"


def _elements(tokens: Iterable[str]) -> Iterator[list[bytes]]:
    """Yield the printed tokens, cut after each comma."""
    pieces: list[str] = []
    start = ""
    for piece in tokens:
        pieces.append(piece)
        if "," in piece:
            elements, _, rest = address_of(pieces).rpartition(",")
            yield _printed(_spaced(start + elements) + ",")
            pieces, start = [rest], " "
    last = address_of(pieces)
    yield _printed(_spaced(start + last).rstrip(" "))


def _spaced(text: str) -> str:
    """Put the spaces of a printed field beside special characters, and LF after commas."""
    text = text.replace(",", ",\n ").replace(":", ": ").replace("<", " <")
    return _single_spaced(text)


def _printed(text: str) -> list[bytes]:
    """Return the elements in `text`, each of which has a line."""
    if text.isascii():
        return text.encode().split(b"\n")
    return [element.translate(_PRINTED).encode("latin-1") for element in text.split("\n")]
