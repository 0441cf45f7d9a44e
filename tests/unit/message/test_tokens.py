from __future__ import annotations

import pytest

from pyqmail.message.tokens import (
    ATOM,
    COMMA,
    COMMENT,
    DOT,
    LITERAL,
    QUOTED,
    FieldSyntaxError,
    Token,
    bare_address,
    print_tokens,
    tokenise,
)


def atom(text: bytes) -> Token:
    return Token(ATOM, text)


def test_special_characters_are_tokens_of_their_own() -> None:
    assert [token.text for token in tokenise(b".,@<>:;")] == [
        *(b".", b",", b"@", b"<", b">", b":", b";")
    ]


def test_blanks_separate_and_are_dropped() -> None:
    assert tokenise(b" a\tb\r\n c ") == [atom(b"a"), atom(b"b"), atom(b"c")]


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (b'"a (b) \\" c"', Token(QUOTED, b'a (b) " c')),
        (b'""', Token(QUOTED, b"")),
        (b"[1.2\\]3]", Token(LITERAL, b"1.2]3")),
        (b"(a [b] \\) c)", Token(COMMENT, b"a [b] ) c")),
        (b"(x (y) z)", Token(COMMENT, b"x y z")),
        (b"a\\ b", atom(b"a b")),
        (b"a\\", atom(b"a")),
        (b"\\", atom(b"")),
        (b"\\.\\@", atom(b".@")),
        (b"a)b", Token(QUOTED, b"a)b")),
        (b"a]", Token(QUOTED, b"a]")),
        (b"a\\\\b", Token(QUOTED, b"a\\b")),
        (b"J\xf6rg", Token(QUOTED, b"J\xf6rg")),
        (b"a\x7f", Token(QUOTED, b"a\x7f")),
        (b"a\0b", Token(QUOTED, b"a\0b")),
    ],
)
def test_a_backslash_protects_and_odd_atoms_become_quoted_words(text: bytes, token: Token) -> None:
    assert tokenise(text) == [token]


@pytest.mark.parametrize("text", [b"(a", b'"a', b"[a", b"(a\\)", b'"a\\', b")", b"a ]", b"((a)"])
def test_what_opens_or_closes_alone_is_an_error(text: bytes) -> None:
    with pytest.raises(FieldSyntaxError):
        tokenise(text)


def test_words_are_printed_with_spaces_between_them_only() -> None:
    text = b'To :a (b) . "c d" [e] <f@g> h ; i : j'

    assert print_tokens(tokenise(text)) == b'To: a (b)."c d" [e] <f@g>h;i: j\n'


def test_a_printed_word_has_a_backslash_before_what_could_end_it() -> None:
    tokens = [Token(QUOTED, b'"[]()\\\r\n'), Token(COMMENT, b"plain")]

    assert print_tokens(tokens) == b'"\\"\\[\\]\\(\\)\\\\\\\r\\\n" (plain)\n'


@pytest.mark.parametrize(
    ("length", "first_line"),
    [(70, b"To: a, " + b"b" * 70 + b","), (71, b"To: a,")],
)
def test_a_line_has_at_most_78_bytes_where_a_comma_allows_it(
    length: int, first_line: bytes
) -> None:
    tokens = tokenise(b"To: a, " + b"b" * length + b", " + b"c" * 80)

    lines = print_tokens(tokens).split(b"\n")

    assert lines[0] == first_line
    assert lines[-2:] == [b"  " + b"c" * 80, b""]


def test_a_list_that_ends_in_a_comma_is_printed_with_it() -> None:
    assert print_tokens([atom(b"a"), COMMA]) == b"a,\n"
    assert print_tokens([]) == b"\n"


def test_a_bare_address_has_no_quotes_comments_or_spaces() -> None:
    assert bare_address(tokenise(b'"a b" . c (x) @ [1.2.3.4]')) == b"a b.c@[1.2.3.4]"


def test_a_token_is_a_value() -> None:
    assert hash(Token(b".", b".")) == hash(DOT)
    assert Token(b".", b".") == DOT
    assert Token(ATOM, b".") != DOT
    assert DOT != b"."
    assert repr(DOT) == "Token(b'.', b'.')"


def test_comments_may_nest_deeper_than_functions_can() -> None:
    depth = 100_000

    assert tokenise(b"(" * depth + b"x" + b")" * depth) == [Token(COMMENT, b"x")]
