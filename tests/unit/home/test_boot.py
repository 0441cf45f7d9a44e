from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyqmail.home.boot import boot_script

if TYPE_CHECKING:
    from pathlib import Path

SENDER = '"${SENDER:-MAILER-DAEMON}" -d "$USER"'

DELIVERIES = {
    "home": "./Mailbox",
    "proc": "|preline procmail",
    "binm1": f"|preline -f /usr/libexec/mail.local -r {SENDER}",
    "binm2": f"|preline -f /bin/mail -r {SENDER}",
    "binm3": f"|preline -f /bin/mail -f {SENDER}",
}

# Shows what it was started with, as qmail-start.
SPY = """#!/bin/sh
printf '%s\\n' "$#" "$@"
env
"""


def start(script: Path, tmp_path: Path) -> list[str]:
    """Run a script with a stand-in for qmail-start; return its arguments, then its environment."""
    answer = subprocess.run(
        [script],
        env={"PATH": f"{tmp_path}/spy:{os.defpath}", "SECRET": "x", "SENDER": "y"},
        capture_output=True,
        check=True,
        text=True,
    )
    return answer.stdout.splitlines()


@pytest.fixture
def spy(tmp_path: Path) -> Path:
    (tmp_path / "spy").mkdir()
    (tmp_path / "spy" / "qmail-start").write_text(SPY)
    (tmp_path / "spy" / "qmail-start").chmod(0o755)
    return tmp_path


def test_there_is_a_script_for_each_of_the_originals(home: Path) -> None:
    names = {path.name for path in (home / "boot").iterdir()}

    assert names == {*DELIVERIES, *(f"{name}+df" for name in DELIVERIES)}
    assert all(os.access(home / "boot" / name, os.X_OK) for name in names)


@pytest.mark.process
@pytest.mark.parametrize("name", DELIVERIES)
def test_a_script_starts_the_server_as_the_originals_does(home: Path, spy: Path, name: str) -> None:
    (count, delivery, *logger), environ = split(start(home / "boot" / name, spy), 4)
    (count_df, first, second, *logger_df), _ = split(start(home / "boot" / f"{name}+df", spy), 5)

    assert (count, delivery, logger) == ("3", DELIVERIES[name], ["splogger", "qmail"])
    assert (count_df, first, second) == ("3", "|dot-forward .forward", DELIVERIES[name])
    assert logger_df == ["splogger", "qmail"]
    assert {line.partition("=")[0] for line in environ} <= {"PATH", "PWD", "SHLVL", "_"}


def split(lines: list[str], at: int) -> tuple[list[str], list[str]]:
    return lines[:at], lines[at:]


@pytest.mark.process
def test_rc_begins_as_the_script_home(home: Path, spy: Path) -> None:
    assert (home / "rc").read_bytes() == (home / "boot" / "home").read_bytes()

    assert start(home / "rc", spy)[:2] == ["3", "./Mailbox"]


@pytest.mark.process
def test_a_script_finds_the_programs_of_its_own_home_first(tmp_path: Path) -> None:
    home = tmp_path / "a home with 'quotes'"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "qmail-start").write_text(SPY)
    (home / "bin" / "qmail-start").chmod(0o755)
    (tmp_path / "rc").write_bytes(boot_script(str(home), "./Mailbox"))
    (tmp_path / "rc").chmod(0o755)

    lines = start(tmp_path / "rc", tmp_path)

    assert f"PATH={home}/bin:{tmp_path}/spy:{os.defpath}" in lines
