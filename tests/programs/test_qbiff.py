from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

import pytest

from pyqmail.programs.qbiff import announcement
from pyqmail.system.terminals import terminals_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process


def test_it_succeeds_whatever_happens(commands: Commands) -> None:
    assert commands.run("qbiff").returncode == 0
    assert commands.run("qbiff", environ={"USER": "aku"}).returncode == 0


def test_nothing_in_a_message_controls_the_terminal() -> None:
    text = announcement(b"a\33b", b"s\xff", b"one\n\33[2Jtwo" + b"x" * 100)

    first, second, end = text.split(b"\r\n")[1:]
    assert first == b"\a*** TO <a_b> FROM <s_>"
    assert second == b"    one//[2Jtwo" + b"x" * 63
    assert end == b""


def test_only_terminals_of_the_user_are_found(tmp_path: Path) -> None:
    record = Struct("=hxxi32s4s32s256s76x")
    entries = [
        (7, b"tty1", b"aku"),
        (7, b"pts/2", b"aku"),
        (7, b"../x", b"aku"),
        (7, b"/dev/x", b"aku"),
        (7, b"", b"aku"),
        (7, b"tty2", b"aku2"),
        (8, b"tty3", b"aku"),
    ]
    path = tmp_path / "utmp"
    path.write_bytes(b"".join(record.pack(k, 1, t, b"", u, b"") for k, t, u in entries) + b"x")

    assert terminals_of(b"aku", str(path)) == [b"tty1", b"pts/2"]
    assert terminals_of(b"aku", str(tmp_path / "none")) == []
