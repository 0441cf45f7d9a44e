"""The documentation names what is there, and everything that is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.differential.deviations import DEVIATIONS, POP3_EXTENSIONS
from tests.support.launchers import program_names

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEXTS = ("README.md", "docs/deviations.md", "docs/privileges.md", "docs/queue.md", "docs/walk.md")


def read(name: str) -> str:
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def test_every_program_has_a_man_page() -> None:
    pages = {name.rsplit(".", 2)[0] for name in os.listdir(os.path.join(ROOT, "docs", "man"))}

    without = sorted(set(program_names()) - pages)

    assert without == []


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_names_only_files_that_exist(text: str) -> None:
    named = re.findall(r"`((?:[\w-]+/)+(?:[\w-]+\.(?:py|md|txt))?)`", read(text))
    places = ("", "src/pyqmail/")
    ours = [name for name in named if name.startswith(("tests/", "docs/", "tools/", "bench/"))]
    ours += [name for name in named if name.endswith(".py") and name not in ours]

    missing = [
        name
        for name in ours
        if not any(os.path.exists(os.path.join(ROOT, place + name)) for place in places)
    ]

    assert missing == []


def test_every_case_that_fails_on_purpose_is_in_the_list_for_readers() -> None:
    text = read("docs/deviations.md")

    assert not [identity for identity in (*DEVIATIONS, *POP3_EXTENSIONS) if identity not in text]


@pytest.mark.process
@pytest.mark.peer
def test_every_man_page_renders_without_a_warning(tmp_path: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("needs man (Debian: man-db)")
    builder = [sys.executable, "-m", "sphinx", "-q", "-b", "man", "-d", f"{tmp_path}/read"]
    builder += ["docs", f"{tmp_path}/man"]
    subprocess.run(builder, cwd=ROOT, check=True, stderr=subprocess.DEVNULL)

    pages = sorted(os.listdir(f"{tmp_path}/man"))
    complaints = [render(f"{tmp_path}/man/{page}") for page in pages]

    assert not [complaint for complaint in complaints if complaint]


def render(path: str) -> str:
    """Show a page as man does; return what it complains about."""
    argv = ["man", "--warnings", "--encoding=UTF-8", "--local-file", path]
    environ = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        argv, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ).stderr
