from __future__ import annotations

import pytest

from pyqmail.delivery.dotqmail import (
    BLANK,
    NO_FILES,
    NO_PROGRAMS,
    candidates,
    owner_files,
    parse_instructions,
)


def parsed(text: bytes, *, forward_only: bool = False) -> list[tuple[bytes, bytes]]:
    return [(i.kind, i.text) for i in parse_instructions(text, forward_only=forward_only)]


@pytest.mark.parametrize(
    ("line", "instruction"),
    [
        (b"./Mailbox", (b"mbox", b"./Mailbox")),
        (b"./Maildir/ \t", (b"maildir", b"./Maildir/")),
        (b"/", (b"maildir", b"/")),
        (b"|prog a \t", (b"program", b"prog a")),
        (b"| prog", (b"program", b" prog")),
        (b"&ann@x", (b"forward", b"ann@x")),
        (b"&", (b"forward", b"")),
        (b"ann@x ", (b"forward", b"ann@x")),
        (b" ./a", (b"forward", b" ./a")),
        (b"&&a", (b"forward", b"&a")),
        (b"\xff", (b"forward", b"\xff")),
    ],
)
def test_the_first_byte_of_a_line_says_what_it_means(
    line: bytes, instruction: tuple[bytes, bytes]
) -> None:
    assert parsed(line) == [instruction]
    assert parsed(line + b"\n") == [instruction]


def test_comments_empty_lines_and_unknown_plus_lines_mean_nothing() -> None:
    assert parsed(b"#a\n\n \t\n+lis\n+list x\n\0x\n") == []


@pytest.mark.parametrize("text", [b"", b"\n", b" \nann\n", b"\0\n"])
def test_a_blank_first_line_is_refused_in_its_turn(text: bytes) -> None:
    assert parsed(text)[0] == (b"refusal", BLANK)


def test_the_x_bit_allows_nothing_but_forwards() -> None:
    text = b"ann\n./a\n|p\n"

    assert parsed(text, forward_only=True) == [
        (b"forward", b"ann"),
        (b"refusal", NO_FILES),
        (b"refusal", NO_PROGRAMS),
    ]


def test_plus_list_forbids_files_only_after_it() -> None:
    assert parsed(b"./a\n+list\0x\n./b\n") == [(b"mbox", b"./a"), (b"refusal", NO_FILES)]


def test_a_nul_ends_what_is_used_but_not_what_is_shown() -> None:
    (instruction,) = parse_instructions(b"./a\0b/\n", forward_only=False)

    assert instruction.kind == b"maildir"
    assert instruction.text == b"./a\0b/"
    assert instruction.argument == b"./a"


@pytest.mark.parametrize(
    ("dash", "ext", "names"),
    [
        (b"", b"", [(b"", None), (b"default", b"")]),
        (b"-", b"", [(b"-", None), (b"-default", b"")]),
        (b"-", b"a", [(b"-a", None), (b"-default", b"a")]),
        (b"-", b"a-", [(b"-a-", None), (b"-a-default", b""), (b"-default", b"a-")]),
        (
            b"-",
            b"A.b-C-d",
            [
                (b"-a:b-c-d", None),
                (b"-a:b-c-default", b"d"),
                (b"-a:b-default", b"C-d"),
                (b"-default", b"A.b-C-d"),
            ],
        ),
        (b"-", b"x-Default", [(b"-x-default", b"Default"), (b"-x-default", b"Default")]),
    ],
)
def test_files_are_looked_for_from_the_exact_to_the_general(
    dash: bytes, ext: bytes, names: list[tuple[bytes, bytes | None]]
) -> None:
    found = list(candidates(dash, ext))

    assert found[: len(names)] == [(b".qmail" + name, default) for name, default in names]


def test_no_extension_leads_out_of_the_home() -> None:
    assert all(b"." not in name[1:] for name, _ in candidates(b"-", b"../../x.y"))


def test_an_owner_is_looked_for_beside_the_exact_file() -> None:
    assert owner_files(b"-", b"Li.st") == (
        b".qmail-li:st-owner",
        b".qmail-li:st-owner-default",
    )
