"""subgetopt's rules."""

from __future__ import annotations

import pytest

from pyqmail.programs.options import UNKNOWN, Options


def parse(*arguments: bytes) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    options = Options("prog", arguments, b"ab:c")
    return list(options), options.rest


@pytest.mark.parametrize(
    ("arguments", "found", "rest"),
    [
        ((), [], []),
        ((b"-ac", b"x", b"-a"), [(b"a", b""), (b"c", b"")], [b"x", b"-a"]),
        ((b"-abrest",), [(b"a", b""), (b"b", b"rest")], []),
        ((b"-b", b"-a", b"y"), [(b"b", b"-a")], [b"y"]),
        ((b"-a", b"--", b"-c"), [(b"a", b"")], [b"-c"]),
        ((b"--long", b"-c"), [], [b"-c"]),
        ((b"-", b"-c"), [], [b"-", b"-c"]),
        ((b"-b", b""), [(b"b", b"")], []),
    ],
)
def test_options_end_where_the_original_ends_them(
    arguments: tuple[bytes, ...], found: list[tuple[bytes, bytes]], rest: list[bytes]
) -> None:
    assert parse(*arguments) == (found, rest)


def test_an_unknown_letter_is_named_on_descriptor_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert parse(b"-x")[0] == [(UNKNOWN, b"x")]

    assert capfd.readouterr().err == "prog: illegal option -- x\n"


def test_a_colon_is_no_option(capfd: pytest.CaptureFixture[str]) -> None:
    assert parse(b"-:")[0] == [(UNKNOWN, b":")]

    assert capfd.readouterr().err == "prog: illegal option -- :\n"


def test_a_missing_value_is_named_on_descriptor_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert parse(b"-b")[0] == [(UNKNOWN, b"b")]

    assert capfd.readouterr().err == "prog: option requires an argument -- b\n"


def test_an_optional_value_is_never_the_next_word() -> None:
    options = Options("prog", [b"-Estuff", b"-E", b"x"], b"E::")

    assert list(options) == [(b"E", b"stuff"), (b"E", b"")]
    assert options.rest == [b"x"]
