from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.errors import TransientFailure
from pyqmail.system import descriptor3

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

ENVIRON = {b"PATH": os.environb[b"PATH"], b"WORD": b"word"}


def ask(script: str, question: bytes = b"") -> int:
    return asyncio.run(descriptor3.ask([b"sh", b"-c", script.encode()], ENVIRON, question))


def test_the_exit_code_is_the_answer() -> None:
    assert ask("exit 17") == 17


def test_the_question_is_on_descriptor_3_and_has_an_end(tmp_path: Path) -> None:
    assert ask(f"cat <&3 >{tmp_path}/got", b"joe\0secret\0\0") == 0
    assert (tmp_path / "got").read_bytes() == b"joe\0secret\0\0"


def test_it_neither_reads_nor_writes_what_we_do() -> None:
    assert ask('echo noise; read -r line; test -z "$line"') == 0


def test_it_gets_the_environment() -> None:
    assert ask('test "$WORD" = word') == 0


def test_no_descriptor_stays_open() -> None:
    before = len(os.listdir("/proc/self/fd"))

    ask("exit 0", b"x")

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_program_that_crashes_says_nothing() -> None:
    with pytest.raises(TransientFailure):
        ask("kill -9 $$")


@pytest.mark.parametrize("name", [b"", b"no-such-program", b"/no/such/program", b"/etc/passwd"])
def test_a_program_that_cannot_be_started_says_nothing(name: bytes) -> None:
    with pytest.raises(TransientFailure):
        asyncio.run(descriptor3.ask([name], ENVIRON, b""))


def test_a_program_that_takes_too_long_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptor3, "TIMEOUT", 0.5)

    with pytest.raises(TransientFailure):
        ask(f"echo $$ >{tmp_path}/pid; exec sleep 60")

    pid = int((tmp_path / "pid").read_text())
    assert not os.path.exists(f"/proc/{pid}")
