"""qmail-clean as a process; tests/unit/queue/test_cleanup.py has what each request means."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import files_in, make_home

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process


@pytest.fixture
def home(tmp_path: Path) -> str:
    home = make_home(str(tmp_path / "home"))
    for name in ("mess/5/28", "intd/28", "todo/28", "mess/6/29", "info/5/28"):
        with open(f"{home}/queue/{name}", "wb") as file:
            file.write(b"x")
    return home


def run(launchers: str, home: str, requests: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [f"{launchers}/qmail-clean"],
        env={"PATH": os.defpath, "QMAILHOME": home},
        input=requests,
        capture_output=True,
        timeout=30,
        check=False,
    )


def test_it_answers_each_request_and_ends_with_the_input(launchers: str, home: str) -> None:
    ended = run(launchers, home, b"todo/28\0foop/28\0nonsense\0foop/\0foop/29\0")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"++xx+", b"")
    assert files_in(home, "mess", "intd", "todo") == {}
    assert list(files_in(home, "info")) == ["info/5/28"]


def test_a_request_without_its_end_is_none(launchers: str, home: str) -> None:
    before = files_in(home)

    ended = run(launchers, home, b"foop/28")

    assert (ended.returncode, ended.stdout) == (0, b"")
    assert files_in(home) == before


def test_a_request_that_never_ends_costs_no_memory_and_no_more_than_itself(
    launchers: str, home: str
) -> None:
    ended = run(launchers, home, b"foop/" + b"2" * 3_000_000 + b"\0foop/28\0")

    assert ended.stdout == b"x+"


def test_without_a_queue_it_ends_with_111(launchers: str, tmp_path: Path) -> None:
    assert run(launchers, str(tmp_path), b"foop/1\0").returncode == 111


def test_when_nobody_reads_its_answers_it_ends_with_100(launchers: str, home: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    ended = subprocess.run(
        [f"{launchers}/qmail-clean"],
        env={"PATH": os.defpath, "QMAILHOME": home},
        input=b"foop/28\0",
        stdout=writing,
        timeout=30,
        check=False,
    )

    os.close(writing)
    assert ended.returncode == 100
