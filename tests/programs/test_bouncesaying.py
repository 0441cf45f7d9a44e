from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


def test_without_a_program_every_message_bounces_with_the_text(commands: Commands) -> None:
    done = commands.run("bouncesaying", "go away")

    assert (done.returncode, done.stderr) == (100, b"go away\n")


@pytest.mark.parametrize(
    ("script", "code", "text"),
    [
        ("exit 0", 100, b"go away\n"),
        ("exit 1", 0, b""),
        ("exit 111", 111, b"bouncesaying: fatal: temporary child error\n"),
        ("kill -9 $$", 111, b"bouncesaying: fatal: child crashed\n"),
    ],
)
def test_with_a_program_only_what_it_says_yes_to_bounces(
    commands: Commands, script: str, code: int, text: bytes
) -> None:
    done = commands.run("bouncesaying", "go away", "sh", "-c", script)

    assert (done.returncode, done.stderr) == (code, text)


def test_a_text_of_any_bytes_is_said_as_it_is(commands: Commands) -> None:
    assert commands.run("bouncesaying", b"a\nb\xe4").stderr == b"a\nb\xe4\n"
