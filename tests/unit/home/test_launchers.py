from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user
from tests.unit.home.conftest import PROGRAMS

from pyqmail.home.launchers import (
    interpreter,
    interpreter_of,
    launcher_text,
    library_folders,
    write_launchers,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HELLO = """\
import os
def launch(home):
    print(home, os.environ.get("QMAILHOME"))
"""


def run(path: Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [path], env=environ or {}, capture_output=True, text=True, check=False, timeout=30
    )


def write(path: Path, text: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o755)


@pytest.fixture
def packages(tmp_path: Path) -> str:
    """Give a folder with a stand-in for the package, whose programs say what their home is."""
    write(tmp_path / "packages" / "pyqmail" / "programs" / "run.py", HELLO)
    return str(tmp_path / "packages")


def test_every_program_is_a_link_to_the_launcher(home: Path) -> None:
    links = {name: os.readlink(home / "bin" / name) for name in PROGRAMS}

    assert set(links.values()) == {"pyqmail"}
    assert {path.name for path in (home / "bin").iterdir()} == {"pyqmail", *PROGRAMS}
    assert os.access(home / "bin" / "pyqmail", os.X_OK)


@pytest.mark.process
def test_a_launcher_names_the_folder_above_its_own_as_home(tmp_path: Path, packages: str) -> None:
    write(tmp_path / "home" / "bin" / "pyqmail", launcher_text(interpreter(), [packages]))
    (tmp_path / "home" / "bin" / "forward").symlink_to("pyqmail")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "home" / "bin" / "forward")

    assert run(tmp_path / "home" / "bin" / "forward").stdout == f"{tmp_path}/home None\n"
    assert run(tmp_path / "elsewhere").stdout == f"{tmp_path}/home None\n"


@pytest.mark.process
@pytest.mark.parametrize("folder", ["with a blank", "x" * 120, "with 'quotes'"])
def test_an_interpreter_that_the_kernel_cannot_be_told_is_started_by_the_shell(
    tmp_path: Path, packages: str, folder: str
) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "python").symlink_to(interpreter())
    launcher = tmp_path / "home" / "bin" / "pyqmail"
    write(launcher, launcher_text(str(tmp_path / folder / "python"), [packages]))

    answer = run(launcher, {"QMAILHOME": "/else"})

    assert (answer.stderr, answer.stdout) == ("", f"{tmp_path}/home /else\n")
    assert interpreter_of(str(launcher)) == str(tmp_path / folder / "python")


@pytest.mark.process
def test_a_launcher_without_its_package_says_what_to_do(tmp_path: Path) -> None:
    launcher = tmp_path / "bin" / "pyqmail"
    write(launcher, launcher_text(interpreter(), [f"{tmp_path}/gone"]))

    answer = run(launcher)

    assert answer.returncode == 111
    assert answer.stderr.endswith("No module named 'pyqmail': run qmailctl setup again\n")


@pytest.mark.process
def test_a_program_uses_its_own_home_unless_it_is_told_another(home: Path) -> None:
    as_ordinary_user(lambda: write_launchers(str(home), ["qmail-showctl"]))
    other = home.parent / "other"
    (other / "control").mkdir(parents=True)
    os.chown(other, home.stat().st_uid, -1)

    own = run(home / "bin" / "qmail-showctl")
    told = run(home / "bin" / "qmail-showctl", {"QMAILHOME": str(other)})

    assert own.stdout.startswith(f"qmail home directory: {home}.\n")
    assert told.stdout.startswith(f"qmail home directory: {other}.\n")


def test_the_folders_of_a_launcher_hold_all_that_is_imported() -> None:
    program = f"import sys; sys.path[:] = [p for p in sys.path if 'site' not in p] + {{!r}}; {''}"
    imports = "import pyqmail.programs.qmailctl, uvloop, setproctitle"

    done = subprocess.run(
        [sys.executable, "-IS", "-c", program.format(library_folders()) + imports],
        check=False,
        capture_output=True,
    )

    assert done.returncode == 0, done.stderr.decode()


def test_a_program_that_was_replaced_stays(home: Path) -> None:
    (home / "bin" / "forward").unlink()
    (home / "bin" / "forward").write_text("mine")

    as_ordinary_user(lambda: write_launchers(str(home), PROGRAMS))

    assert (home / "bin" / "forward").read_text() == "mine"


def test_only_links_to_programs_that_are_no_more_go_away(home: Path) -> None:
    (home / "bin" / "my-script").write_text("mine")
    (home / "bin" / "my-link").symlink_to("my-script")

    as_ordinary_user(lambda: write_launchers(str(home), ["sendmail"]))

    names = {path.name for path in (home / "bin").iterdir()}
    assert names == {"pyqmail", "sendmail", "my-script", "my-link"}
