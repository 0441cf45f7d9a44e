from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.commands import MESSAGE

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


FROM = b"From sue@example.org Sat Jan 03 04:05:06 2025\n"
RETURN_PATH = b"Return-Path: <sue@example.org>\n"
DELIVERED_TO = b"Delivered-To: aku@example.org\n"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], FROM + RETURN_PATH + DELIVERED_TO),
        (["-f"], RETURN_PATH + DELIVERED_TO),
        (["-rd"], FROM),
        (["-frd", "-R"], RETURN_PATH),
        (["--"], FROM + RETURN_PATH + DELIVERED_TO),
    ],
)
def test_the_lines_that_are_wanted_stand_before_the_message(
    commands: Commands, options: list[str], lines: bytes
) -> None:
    done = commands.run("preline", *options, "cat")

    assert (done.returncode, done.stdout) == (0, lines + MESSAGE)


def test_the_exit_code_is_that_of_the_program(commands: Commands) -> None:
    assert commands.run("preline", "sh", "-c", "cat >/dev/null; exit 9").returncode == 9


def test_a_program_that_reads_only_half_is_a_transient_failure(commands: Commands) -> None:
    done = commands.run("preline", "true", message=b"x" * 1_000_000)

    text = b"preline: fatal: unable to copy input: broken pipe\n"
    assert (done.returncode, done.stderr) == (111, text)


def test_a_program_that_is_not_there_is_a_permanent_failure(commands: Commands) -> None:
    done = commands.run("preline", "no-such-program")

    text = b"preline: fatal: unable to run no-such-program: file does not exist\n"
    assert (done.returncode, done.stderr) == (100, text)


@pytest.mark.parametrize("name", ["UFLINE", "RPLINE", "DTLINE"])
def test_outside_a_delivery_it_fails_for_good(commands: Commands, name: str) -> None:
    done = commands.run("preline", "-frd", "cat", environ={name: None})

    text = b"preline: usage: preline cmd [ arg ... ]\n"
    assert (done.returncode, done.stderr) == (100, text)
