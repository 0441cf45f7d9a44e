from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.message.tokens import (
    EMPTY,
    FieldSyntaxError,
    atom,
    bare_address,
    comment,
    print_tokens,
    quoted_word,
    tokenise,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def printed(*tokens: str) -> bytes:
    return joined(print_tokens(tokens))


def joined(pieces: Iterable[bytes]) -> bytes:
    return b"".join(pieces)


def literal(text: bytes) -> str:
    return f"[{atom(text)}]"


def test_one_space_stands_between_tokens_and_none_in_an_address() -> None:
    assert tokenise(b"a.b@c,d<e>f:g;") == "a.b@c , d < e > f : g ;"
    assert tokenise(b" a\tb\r\n c . d @  e ") == "a b c.d@e"
    assert tokenise(b"<.a>") == "< .a >"
    assert tokenise(b" \n") == ""


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (b'"a (b) \\" c"', quoted_word(b'a (b) " c')),
        (b'""', quoted_word(b"")),
        (b"[1.2\\]3]", literal(b"1.2]3")),
        (b"(a [b] \\) c)", comment(b"a [b] ) c")),
        (b"(x (y) z)", comment(b"x y z")),
        (b"a\\b", "ab"),
        (b"a\\ b", "a" + atom(b" ") + "b"),
        (b"a\\", "a" + EMPTY),
        (b"\\", EMPTY),
        (b"\\.\\@", atom(b".@")),
        (b"a)b", quoted_word(b"a)b")),
        (b"a]", quoted_word(b"a]")),
        (b"a)]b", quoted_word(b"a)]b")),
        (b"a\\\\b", quoted_word(b"a\\b")),
        (b"a\\\\\\.b", quoted_word(b"a\\.b")),
        (b"J\xf6rg", quoted_word(b"J\xf6rg")),
        (b"a\x7f", quoted_word(b"a\x7f")),
        (b"a\0b", quoted_word(b"a\0b")),
        (b"a.\xa0@b", "a." + quoted_word(b"\xa0") + "@b"),
        (b'"a"b', quoted_word(b"a") + " b"),
        (b'"a".b', quoted_word(b"a") + ".b"),
    ],
)
def test_a_backslash_protects_and_odd_atoms_become_quoted_words(text: bytes, token: str) -> None:
    assert tokenise(text) == token


@pytest.mark.parametrize("text", [b"(a", b'"a', b"[a", b"(a\\)", b'"a\\', b")", b"a ]", b"((a)"])
def test_what_opens_or_closes_alone_is_an_error(text: bytes) -> None:
    with pytest.raises(FieldSyntaxError):
        tokenise(text)


def test_words_are_printed_with_spaces_between_them_only() -> None:
    text = b'To :a (b) . "c d" [e] <f@g> h ; i : j'

    assert printed(tokenise(text)) == b'To: a (b)."c d" [e] <f@g>h;i: j\n'


def test_a_printed_word_has_a_backslash_before_what_could_end_it() -> None:
    tokens = quoted_word(b'"[]()\\\r\n'), comment(b"plain")

    assert printed(*tokens) == b'"\\"\\[\\]\\(\\)\\\\\\\r\\\n" (plain)\n'


@pytest.mark.parametrize(
    ("length", "first_line"),
    [(70, b"To: a, " + b"b" * 70 + b","), (71, b"To: a,")],
)
def test_a_line_has_at_most_78_bytes_where_a_comma_allows_it(
    length: int, first_line: bytes
) -> None:
    tokens = tokenise(b"To: a, " + b"b" * length + b", " + b"c" * 80)

    lines = printed(tokens).split(b"\n")

    assert lines[0] == first_line
    assert lines[-2:] == [b"  " + b"c" * 80, b""]


def test_a_list_that_ends_in_a_comma_is_printed_with_it() -> None:
    assert printed("a ,") == b"a,\n"
    assert printed() == b"\n"
    assert printed("b" * 80 + " ,") == b"b" * 80 + b",\n \n"


def test_where_tokens_are_cut_into_pieces_changes_nothing() -> None:
    tokens = tokenise(b'To: a, <b@c>, "d, e" (f) , : ; < > . @ , g h,')

    assert joined(print_tokens(tokens.split(" "))) == printed(tokens)
    assert list(windows(tokens, 1)) != [tokens]
    assert " ".join(windows(tokens, 1)) == tokens


def test_a_bare_address_has_no_quotes_comments_or_spaces() -> None:
    assert bare_address(tokenise(b'"a b" . c (x) @ [1.2.3.4]')) == b"a b.c@[1.2.3.4]"
    assert bare_address(tokenise(b"a(x)(y)\\ b")) == b"a b"


def test_comments_may_nest_deeper_than_functions_can() -> None:
    depth = 100_000

    assert tokenise(b"(" * depth + b"x" + b")" * depth) == comment(b"x")
