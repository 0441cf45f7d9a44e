"""Address lists in header fields, and how an incomplete address is completed.

A list is read from right to left: what follows an address says what it is,
what stands before it may be its display name. The list is printed again with
each address in its completed form.
"""

from __future__ import annotations

from itertools import takewhile

from pyqmail.message.tokens import (
    AT,
    ATOM,
    COLON,
    COMMA,
    COMMENT,
    DOT,
    LEFT,
    LITERAL,
    QUOTED,
    FieldSyntaxError,
    Token,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    # Gets the tokens of an address, from left to right, and returns the completed ones.
    Complete = Callable[[list[Token]], list[Token]]

_DISPLAY_NAME: Final = (ATOM, QUOTED, COMMENT, AT.kind, DOT.kind)


class Completion:
    """What an incomplete address lacks: a host, or the end of a domain."""

    __slots__ = ("_default_domain", "_default_host", "_plus_domain")

    def __init__(
        self, default_host: list[Token], default_domain: list[Token], plus_domain: list[Token]
    ) -> None:
        """Take the tokens of `@host`, `.domain` and `.domain`."""
        self._default_host = default_host
        self._default_domain = default_domain
        self._plus_domain = plus_domain

    def complete(self, address: list[Token]) -> list[Token]:
        """Return `address` with a full domain.

        The null address and one in the domain `[]` stay as they are.
        """
        if not address or address[-2:] == [AT, _EMPTY_LITERAL]:
            return address
        address = _without_route(address)
        if address and address[-1] is DOT:
            address = address[:-1]
        if address and address[-1] is AT:
            address = address[:-1]
        return self._with_domain(address) if address else address

    def _with_domain(self, address: list[Token]) -> list[Token]:
        if AT not in address:
            address = address + self._default_host
        last = address[-1]
        if last.kind == ATOM and last.text.endswith(b"+"):
            address = [*address[:-1], Token(ATOM, last.text[:-1]), *self._plus_domain]
        if not _is_domain_full(address):
            address = address + self._default_domain
        return address


_EMPTY_LITERAL: Final = Token(LITERAL, b"")


def _without_route(address: list[Token]) -> list[Token]:
    """Take off a source route, `@host,@host:`; RFC 5321 §4.1.2 lets us ignore it."""
    if address[0] is not AT:
        return address
    return address[address.index(COLON) + 1 :] if COLON in address else []


def _is_domain_full(address: list[Token]) -> bool:
    """Has the domain, which follows the last `@`, a dot or a literal in it?"""
    domain = takewhile(lambda token: token is not AT, reversed(address))
    return any(token is DOT or token.kind == LITERAL for token in domain)


def rewrite_list(tokens: list[Token], complete: Complete) -> list[Token]:
    """Return the address list `tokens` with every address replaced by what `complete` returns.

    `complete` is called for the last address first. If the list is malformed,
    FieldSyntaxError is raised, and addresses to the right of the error have
    been handed to `complete` by then.
    """
    return _ListRewriter(tokens, complete).rewrite()


class _ListRewriter:
    """The state of reading one list; `output` and `address` grow from right to left."""

    __slots__ = ("address", "complete", "in_group", "output", "rest", "word_allowed")

    def __init__(self, tokens: list[Token], complete: Complete) -> None:
        self.rest = list(tokens)
        self.complete = complete
        self.output: list[Token] = []
        self.address: list[Token] = []
        self.in_group = False
        self.word_allowed = True  # else a word begins the next address: a comma is missing

    def rewrite(self) -> list[Token]:
        while self.rest:
            token = self.rest.pop()
            _ACTIONS[token.kind](self, token)
        self._finish_address()
        self.output.reverse()
        return self.output

    def _finish_address(self) -> None:
        if self.address:
            self._take_address()

    def _finish_address_before_comma(self) -> None:
        if self.address:
            self._take_address()
            self.output.append(COMMA)

    def _take_address(self) -> None:
        self.address.reverse()
        self.output.extend(reversed(self.complete(self.address)))
        self.address = []

    def end_of_group(self, semicolon: Token) -> None:
        self._finish_address_before_comma()
        if self.in_group:
            raise FieldSyntaxError("a group inside a group")
        self.in_group = True
        self.word_allowed = True
        self.output.append(semicolon)

    def begin_of_group(self, colon: Token) -> None:
        self._finish_address()
        if not self.in_group:
            raise FieldSyntaxError("a group without an end")
        self.in_group = False
        self.word_allowed = True
        self.output.append(colon)
        self._copy_until(COMMA)

    def _copy_until(self, last: Token) -> None:
        while self.rest:
            token = self.rest.pop()
            self.output.append(token)
            if token is last:
                return

    def angle_address(self, right: Token) -> None:
        self._finish_address_before_comma()
        self.output.append(right)
        while self.rest and self.rest[-1] is not LEFT:
            self.address.append(self.rest.pop())
        self._take_address()  # even an empty one: <> is the null address
        if not self.rest:
            raise FieldSyntaxError("a > without its <")
        self.output.append(self.rest.pop())
        while self.rest and self.rest[-1].kind in _DISPLAY_NAME:
            self.output.append(self.rest.pop())
        self.word_allowed = False

    def word(self, word: Token) -> None:
        if not self.word_allowed:
            self._finish_address_before_comma()
        self.word_allowed = False
        self.address.append(word)

    def comment(self, comment: Token) -> None:
        # It comes to stand behind the address that it interrupts.
        self.output.append(comment)

    def comma(self, comma: Token) -> None:
        self._finish_address()
        self.word_allowed = True
        self.output.append(comma)

    def part_of_address(self, special: Token) -> None:
        self.word_allowed = True
        self.address.append(special)


_ACTIONS: Final = {
    b";": _ListRewriter.end_of_group,
    b":": _ListRewriter.begin_of_group,
    b">": _ListRewriter.angle_address,
    b",": _ListRewriter.comma,
    b"@": _ListRewriter.part_of_address,
    b".": _ListRewriter.part_of_address,
    b"<": _ListRewriter.part_of_address,
    COMMENT: _ListRewriter.comment,
    ATOM: _ListRewriter.word,
    QUOTED: _ListRewriter.word,
    LITERAL: _ListRewriter.word,
}
