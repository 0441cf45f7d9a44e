from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.commands import MESSAGE

if TYPE_CHECKING:
    from tests.support.commands import Commands

pytestmark = pytest.mark.process


def test_a_program_that_exits_0_redirects_the_whole_message(commands: Commands) -> None:
    done = commands.run("condredirect", "ann@example.net", "grep", "-q", "Hello")

    assert done.returncode == 99
    assert done.stderr.startswith(b"condredirect: qp ")
    assert commands.queued() == [
        (
            b"Delivered-To: aku@example.org\n" + MESSAGE,
            b"Fsue@example.org\0Tann@example.net\0\0",
        )
    ]


@pytest.mark.parametrize(("script", "code"), [("exit 1", 0), ("exit 100", 0), ("exit 111", 111)])
def test_any_other_exit_code_redirects_nothing(commands: Commands, script: str, code: int) -> None:
    done = commands.run("condredirect", "ann@example.net", "sh", "-c", script)

    assert done.returncode == code
    assert commands.queued() == []


def test_a_program_that_is_not_there_redirects_nothing(commands: Commands) -> None:
    assert commands.run("condredirect", "ann@example.net", "no-such-program").returncode == 0


def test_an_address_alone_is_wrong_usage(commands: Commands) -> None:
    done = commands.run("condredirect", "ann@example.net")

    assert done.returncode == 100
    assert done.stderr.startswith(b"condredirect: usage: ")
