from __future__ import annotations

import pytest

from pyqmail.protocol.smtp import commands
from pyqmail.protocol.smtp.commands import CommandRefused
from pyqmail.protocol.smtp.events import Hello, Mail, Recipient


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"NOOP", (b"NOOP", b"")),
        (b"mail  FROM:<a@b> ", (b"MAIL", b"FROM:<a@b> ")),
        (b"noop\tx", (b"NOOP\tX", b"")),
        (b" NOOP", (b"", b"NOOP")),
        (b"NOOP\0x", (b"NOOP", b"")),
        (b"", (b"", b"")),
    ],
)
def test_a_space_ends_the_verb_and_a_nul_the_line(line: bytes, parts: tuple[bytes, bytes]) -> None:
    assert commands.split_command(line) == parts


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        (b"FROM:<a@b>", b"a@b"),
        (b"FROM: <a@b>", b"a@b"),
        (b"<a@b>", b"a@b"),
        (b"FROM:a@b", b"a@b"),
        (b"FROM:  a@b x", b"a@b"),
        (b"FROM:<>", b""),
        (b"FROM:", b""),
        (b"FROM", b""),
        (b"", b""),
        (b"a@b", b""),
        (b"FROM:<@r,@s:a@b>", b"a@b"),
        (b"FROM:<@r>", b""),
        (b"FROM:@r:a@b", b"a@b"),
        (b'FROM:<"a b"@c>', b"a b@c"),
        (b'FROM:<"a>b"@c>', b"a>b@c"),
        (b'FROM:<"a\\"b"@c>', b'a"b@c'),
        (b"FROM:<a\\>b@c>", b"a>b@c"),
        (b"FROM:a\\ b@c d", b"a b@c"),
        (b"FROM:<a\\", b"a"),
        (b'FROM:<"a@b', b"a@b"),
        (b"FROM:<a@b", b"a@b"),
        (b"FROM:<<a@b>>", b"<a@b"),
        (b"FROM:<\xe4@b>", b"\xe4@b"),
    ],
)
def test_a_path_is_read_as_leniently_as_ever(argument: bytes, path: bytes) -> None:
    assert commands.parse_path(argument)[0] == path


@pytest.mark.parametrize("argument", [b"FROM:<a\rb@c>", b"FROM:a\rb", b'FROM:<"a\\\rb"@c>'])
def test_an_address_with_cr_is_refused(argument: bytes) -> None:
    with pytest.raises(CommandRefused):
        commands.parse_path(argument)


@pytest.mark.parametrize("verb", [b"HELO", b"EHLO"])
def test_a_hello_may_say_anything(verb: bytes) -> None:
    assert commands.parse_arguments(verb, b"a  b ") == Hello(b"a  b ", verb == b"EHLO")


def test_unknown_parameters_are_kept_and_harm_nothing() -> None:
    mail = commands.parse_arguments(b"MAIL", b"FROM:<a@b> body=8BITMIME  X RET=FULL")
    recipient = commands.parse_arguments(b"RCPT", b"TO:<a@b> NOTIFY=NEVER")

    assert mail == Mail(b"a@b", {b"BODY": b"8BITMIME", b"X": b"", b"RET": b"FULL"})
    assert recipient == Recipient(b"a@b", {b"NOTIFY": b"NEVER"})


def test_parameters_follow_a_quoted_path_and_one_without_brackets() -> None:
    assert commands.parse_path(b'FROM:<"a b"@c> X=1')[1] == b" X=1"
    assert commands.parse_path(b"FROM:a@b X=1")[1] == b"X=1"


def test_size_is_a_number() -> None:
    mail = commands.parse_arguments(b"MAIL", b"FROM:<a@b> SIZE=00100")

    assert isinstance(mail, Mail)
    assert mail.size == 100


@pytest.mark.parametrize("size", [b"", b"x", b"1_0", b"-1", b"+1", b"\xd9\xa1", b"1" * 21])
def test_a_size_that_is_no_number_is_refused(size: bytes) -> None:
    with pytest.raises(CommandRefused):
        commands.parse_arguments(b"MAIL", b"FROM:<a@b> SIZE=" + size)
