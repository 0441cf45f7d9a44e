from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.commands import MESSAGE

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


FROM = b"From sue@example.org Sat Jan 03 04:05:06 2025\n"


def test_a_program_for_sendmail_gets_a_from_line_and_its_macros(commands: Commands) -> None:
    done = commands.run("qsmhook", "sh", "-c", "echo $0 $1; cat", "%u@%h", "%g%%%x.")

    assert done.returncode == 0
    assert done.stdout == b"aku@example.org sue@example.org%.\n" + FROM + MESSAGE


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["-n"], b""),
        (["-nP"], b"Return-Path: <sue@example.org>\n"),
        (["-nl", "-F"], b"Delivered-To: aku@example.org\n"),
    ],
)
def test_options_choose_the_lines(commands: Commands, options: list[str], lines: bytes) -> None:
    assert commands.run("qsmhook", *options, "cat").stdout == lines + MESSAGE


def test_a_prefix_of_the_local_part_can_be_taken_away(commands: Commands) -> None:
    done = commands.run(
        "qsmhook", "-x", "LIST-", "echo", "%u", environ={"LOCAL": "list-x"}, message=b""
    )

    assert done.stdout == b"x\n"


def test_outside_a_delivery_it_fails_for_good(commands: Commands) -> None:
    assert commands.run("qsmhook", "cat", environ={"HOST": None}).returncode == 100
