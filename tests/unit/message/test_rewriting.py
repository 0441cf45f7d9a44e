from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.message.rewriting import Completion, rewrite_list
from pyqmail.message.tokens import FieldSyntaxError, bare_address, print_tokens, tokenise

if TYPE_CHECKING:
    from collections.abc import Iterable

COMPLETION = Completion(tokenise(b"@host"), tokenise(b".domain"), tokenise(b".plus"))


def printed(tokens: Iterable[str]) -> bytes:
    """Return what follows the name of a field."""
    field = b"".join(print_tokens(["To :", *tokens]))
    return field.removeprefix(b"To:").removesuffix(b"\n").lstrip(b" ")


def complete(text: bytes) -> bytes:
    return printed([COMPLETION.complete(tokenise(text))])


def rewrite(text: bytes) -> tuple[bytes, list[bytes]]:
    """Return the rewritten list, and the addresses in the order they were taken."""
    taken: list[bytes] = []

    def take(address: str) -> str:
        address = COMPLETION.complete(address)
        taken.append(bare_address(address))
        return address

    return printed(rewrite_list(tokenise(text), take)), taken


@pytest.mark.parametrize(
    ("address", "completed"),
    [
        (b"joe", b"joe@host.domain"),
        (b"joe@a", b"joe@a.domain"),
        (b"joe@a.b", b"joe@a.b"),
        (b"joe@[1]", b"joe@[1]"),
        (b"joe@a+", b"joe@a.plus"),
        (b"joe+", b"joe+@host.domain"),
        (b"joe@+", b"joe@.plus"),
        (b"joe@x +", b"joe@x .plus"),
        (b"joe@a+\\", b"joe@a+.domain"),
        (b'joe@"a+"', b'joe@"a+".domain'),
        (b"joe@a.", b"joe@a.domain"),
        (b"joe@", b"joe@host.domain"),
        (b"joe@.", b"joe@host.domain"),
        (b"@r,@s:joe@a.b", b"joe@a.b"),
        (b"@r", b""),
        (b".", b""),
        (b"@", b""),
        (b"", b""),
        (b"joe@[]", b"joe@[]"),
        (b"a@b@c", b"a@b@c.domain"),
        (b"a.b@c", b"a.b@c.domain"),
        (b"joe@a+ (c)", b"joe@a+ (c).domain"),
    ],
)
def test_an_address_gets_what_it_lacks(address: bytes, completed: bytes) -> None:
    assert complete(address) == completed


@pytest.mark.parametrize(
    ("text", "printed", "taken"),
    [
        (b"a@b.c", b"a@b.c", [b"a@b.c"]),
        (b"a@b.c, d@e.f", b"a@b.c, d@e.f", [b"d@e.f", b"a@b.c"]),
        (b"a@b.c d@e.f", b"a@b.c, d@e.f", [b"d@e.f", b"a@b.c"]),
        (b"a.b, , c.d@e.f,", b"a.b@host.domain, , c.d@e.f,", [b"c.d@e.f", b"a.b@host.domain"]),
        (b"N. M <a@b.c>", b"N.M <a@b.c>", [b"a@b.c"]),
        (b"<a@b.c> (x)", b"<a@b.c>(x)", [b"a@b.c"]),
        (b"<>", b"<>", [b""]),
        (b"d@e.f <a@b.c>", b"d@e.f <a@b.c>", [b"a@b.c"]),
        (b"d@e.f, <a@b.c> g@h.i", b"d@e.f, <a@b.c>, g@h.i", [b"g@h.i", b"a@b.c", b"d@e.f"]),
        (b"[x] <a@b.c>", b"[x]@host.domain <a@b.c>", [b"a@b.c", b"[x]@host.domain"]),
        (b"(x) a (y) @ b.c", b"a@b.c (x) (y)", [b"a@b.c"]),
        (b"us: a@b.c;, d@e.f", b"us: a@b.c;, d@e.f", [b"d@e.f", b"a@b.c"]),
        (b"d@e.f, us: a@b.c;", b"d@e.f, us: a@b.c;", [b"a@b.c", b"d@e.f"]),
        (b"x:;", b"x: ;", []),
        (b"a@b.c;", b"a@b.c;", [b"a@b.c"]),
        (b"a@b.c; d@e.f", b"a@b.c;, d@e.f", [b"d@e.f", b"a@b.c"]),
        (b"x <y", b"x <y@host.domain", [b"x<y@host.domain"]),
        (b"(only)", b"(only)", []),
        (
            b"x <y> z.[a].b <c>",
            b"x <y@host.domain>, z.[a]@host.domain.b <c@host.domain>",
            [
                *(b"c@host.domain", b"z.[a]@host.domain", b"y@host.domain"),
            ],
        ),
        (b"", b"", []),
    ],
)
def test_a_list_is_read_from_right_to_left(text: bytes, printed: bytes, taken: list[bytes]) -> None:
    assert rewrite(text) == (printed, taken)


@pytest.mark.parametrize("text", [b"x:y@b.c", b"a: b;c;", b"a>", b"a:b:c;;"])
def test_a_group_or_angle_without_its_partner_is_an_error(text: bytes) -> None:
    with pytest.raises(FieldSyntaxError):
        rewrite_list(tokenise(text), COMPLETION.complete)


def test_addresses_to_the_right_of_an_error_have_been_taken() -> None:
    taken: list[bytes] = []

    def take(address: str) -> str:
        taken.append(bare_address(address))
        return address

    with pytest.raises(FieldSyntaxError):
        rewrite_list(tokenise(b"a, x: b, c"), take)

    assert taken == [b"c", b"b"]


def test_a_list_of_any_length_is_read_in_windows_that_cut_nothing() -> None:
    part = b'"a, b" <c@d.e> (x), f . g (y) @ h.i, j: k@l.m;, '
    printed_part = b'"a, b" <c@d.e>(x), f.g@h.i (y), j: k@l.m;, '

    text, taken = rewrite(part * 1000)

    assert text.replace(b",\n  ", b", ") == (printed_part * 1000).rstrip(b" ")
    assert taken == [b"k@l.m", b"f.g@h.i", b"c@d.e"] * 1000
