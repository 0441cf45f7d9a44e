"""Address lists in header fields, and how an incomplete address is completed.

A list is read from right to left: what follows an address says what it is,
what stands before it may be its display name. The list is printed again with
each address in its completed form.
"""

from __future__ import annotations

from pyqmail.message.tokens import EMPTY, FieldSyntaxError, address_of, windows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    # Gets an address, and returns the completed one.
    Complete = Callable[[str], str]


class Completion:
    """What an incomplete address lacks: a host, or the end of a domain."""

    __slots__ = ("_default_domain", "_default_host", "_plus_domain")

    def __init__(self, default_host: str, default_domain: str, plus_domain: str) -> None:
        """Take the tokens of `@host`, `.domain` and `.domain`."""
        self._default_domain = default_domain
        self._plus_domain = plus_domain
        self._default_host = self._with_full_domain(default_host)

    def complete(self, address: str) -> str:
        """Return `address` with a full domain.

        The null address and one in the domain `[]` stay as they are.
        """
        if address.endswith("@[]"):
            return address
        if address.startswith("@"):
            address = _without_route(address)
        address = address.removesuffix(".").removesuffix("@")
        if "@" in address:
            return self._with_full_domain(address)
        return address + self._default_host if address else ""

    def _with_full_domain(self, address: str) -> str:
        if address.endswith("+"):
            address = address[:-1] + EMPTY + self._plus_domain
        domain = address.rpartition("@")[2]
        is_full = "." in domain or "[" in domain
        return address if is_full else address + self._default_domain


def _without_route(address: str) -> str:
    """Take off a source route, `@host,@host:`; RFC 5321 §4.1.2 lets us ignore it."""
    return address.partition(":")[2].lstrip(" ")


def rewrite_list(tokens: str, complete: Complete) -> Iterator[str]:
    """Return the address list `tokens` with every address replaced by what `complete` returns.

    The list comes in pieces, from left to right. `complete` has been called
    for each address then, for the last one first. If the list is malformed,
    FieldSyntaxError is raised, and addresses to the right of the error have
    been handed to `complete` by then.
    """
    return _from_left_to_right(_ListRewriter(tokens, complete).rewrite())


def _from_left_to_right(pieces: list[str]) -> Iterator[str]:
    while pieces:
        yield pieces.pop()  # a piece that is used needs no memory any more


class _ListRewriter:
    """The state of reading one list; everything in it grows from right to left."""

    __slots__ = (
        *("address", "complete", "in_group", "output"),
        *("pieces", "rest", "windows", "word_allowed"),
    )

    def __init__(self, tokens: str, complete: Complete) -> None:
        self.windows = list(windows(tokens))
        self.rest: list[str] = []  # tokens of one window
        self.complete = complete
        self.output: list[str] = []
        self.pieces: list[str] = []  # of output, each in the right order
        self.address: list[str] = []
        self.in_group = False
        self.word_allowed = True  # else a word begins the next address: a comma is missing

    def rewrite(self) -> list[str]:
        while self.rest or self.windows:
            if not self.rest:
                self.windows[-1] = self._without_plain_addresses(self.windows[-1])
                self._next_window()
            token = self.rest.pop()
            _ACTIONS.get(token[0], _ListRewriter.part_of_address)(self, token)
        self._finish_address()
        self._collect()
        return self.pieces

    def _next_window(self) -> bool:
        """Go on with the next window; say whether there is one."""
        if self.windows:
            self._collect()
            self.rest = self.windows.pop().split(" ")
        return bool(self.rest)

    def _without_plain_addresses(self, window: str) -> str:
        """Take from the end of `window` what most lists are: addresses, and commas between them.

        What is left has a comma at its end: the first address of the window
        may go on in the next one.
        """
        if window.endswith(" ,"):
            window = window[:-2]
            self.comma(",")
        first, _, rest = window.partition(" , ")
        addresses = rest.split(" , ")
        if self.address or ", ," in window or not _are_plain(rest, addresses):
            return window
        addresses.reverse()
        completed = [self.complete(address) for address in addresses]
        self.output.append(" , ".join(completed[::-1]))
        return f"{first} ,"

    def _collect(self) -> None:
        if self.output:
            self.pieces.append(" ".join(self.output[::-1]))
            self.output.clear()

    def _finish_address(self) -> None:
        if self.address:
            self._take_address()

    def _finish_address_before_comma(self) -> None:
        if self.address:
            self._take_address()
            self.output.append(",")

    def _take_address(self) -> None:
        address = self.address[0] if len(self.address) == 1 else address_of(self.address[::-1])
        address = self.complete(address)
        self.address.clear()
        if address:
            self.output.append(address)

    def end_of_group(self, semicolon: str) -> None:
        self._finish_address_before_comma()
        if self.in_group:
            raise FieldSyntaxError("a group inside a group")
        self.in_group = True
        self.word_allowed = True
        self.output.append(semicolon)

    def begin_of_group(self, colon: str) -> None:
        self._finish_address()
        if not self.in_group:
            raise FieldSyntaxError("a group without an end")
        self.in_group = False
        self.word_allowed = True
        self.output.append(colon)
        self._copy_until(",")

    def _copy_until(self, last: str) -> None:
        while self.rest or self._next_window():
            token = self.rest.pop()
            self.output.append(token)
            if token == last:
                return

    def angle_address(self, right: str) -> None:
        self._finish_address_before_comma()
        self.output.append(right)
        while (self.rest or self._next_window()) and self.rest[-1] != "<":
            self.address.append(self.rest.pop())
        self._take_address()  # even an empty one: <> is the null address
        if not (self.rest or self._next_window()):
            raise FieldSyntaxError("a > without its <")
        self.output.append(self.rest.pop())
        self._copy_display_name()
        self.word_allowed = False

    def _copy_display_name(self) -> None:
        while (self.rest or self._next_window()) and self.rest[-1] not in _STRUCTURE:
            # A literal is no part of it.
            before, literal, after = self.rest.pop().rpartition("]")
            if after:
                self.output.append(after)
            if literal:
                self.rest.append(before + literal)
                return

    def part_of_address(self, token: str) -> None:
        if not self.word_allowed and token[-1] not in _JOINTS:
            self._finish_address_before_comma()
        self.address.append(token)
        self.word_allowed = token[0] in _JOINTS

    def comment(self, comment: str) -> None:
        # It comes to stand behind the address that it interrupts.
        self.output.append(comment)

    def comma(self, comma: str) -> None:
        self._finish_address()
        self.word_allowed = True
        self.output.append(comma)


def _are_plain(rest: str, addresses: list[str]) -> bool:
    are_single_tokens = rest.count(" ") == 2 * (len(addresses) - 1)
    return bool(rest) and are_single_tokens and not any(special in rest for special in ";:<>(")


_JOINTS: Final = ".@<"  # a word beside one of them belongs to the same address
_STRUCTURE: Final = frozenset(",;:<>")
_ACTIONS: Final = {
    ";": _ListRewriter.end_of_group,
    ":": _ListRewriter.begin_of_group,
    ">": _ListRewriter.angle_address,
    ",": _ListRewriter.comma,
    "(": _ListRewriter.comment,
}
