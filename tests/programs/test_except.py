from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 100), ("exit 1", 0), ("exit 100", 0), ("exit 111", 111), ("kill -9 $$", 111)],
)
def test_the_exit_code_is_turned_round(commands: Commands, script: str, code: int) -> None:
    assert commands.run("except", "sh", "-c", script).returncode == code


def test_the_program_reads_the_message(commands: Commands) -> None:
    assert commands.run("except", "grep", "-q", "Hello").returncode == 100


def test_no_program_is_wrong_usage(commands: Commands) -> None:
    done = commands.run("except")

    assert (done.returncode, done.stderr) == (100, b"except: usage: except program [ arg ... ]\n")
