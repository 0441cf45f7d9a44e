from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from pyqmail.system.processes import (
    crashed,
    exit_code,
    run_with_input,
    start_by_name,
    wait_for,
)

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {b"PATH": b"/usr/bin:/bin"}


@pytest.fixture
def empty() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_exit_code_of_a_program_comes_back(empty: int) -> None:
    status = run_with_input([b"sh", b"-c", b"exit 99"], empty, ENVIRON)

    assert not crashed(status)
    assert exit_code(status) == 99


def test_a_program_that_is_killed_has_crashed(empty: int) -> None:
    assert crashed(run_with_input([b"sh", b"-c", b"kill -9 $$"], empty, ENVIRON))


def test_a_program_reads_the_descriptor_that_is_given(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"hello\n")
    descriptor = os.open(tmp_path / "input", os.O_RDONLY)

    status = run_with_input([b"grep", b"-q", b"^hello$"], descriptor, ENVIRON)

    assert exit_code(status) == 0


def test_a_program_dies_of_sigpipe_although_python_ignores_it(empty: int) -> None:
    status = run_with_input([b"sh", b"-c", b"kill -PIPE $$; exit 0"], empty, ENVIRON)

    assert status & 127 == signal.SIGPIPE


def test_a_program_that_is_nowhere_is_not_found(empty: int) -> None:
    with pytest.raises(FileNotFoundError):
        start_by_name([b"no-such-program"], ENVIRON, empty)


def test_an_empty_name_is_not_found(empty: int) -> None:
    with pytest.raises(FileNotFoundError):
        start_by_name([b""], ENVIRON, empty)


def test_a_file_that_may_not_be_run_is_passed_over_but_remembered(
    tmp_path: Path, empty: int
) -> None:
    script(tmp_path / "program", "#!/bin/sh\n", mode=0o644)
    environ = {b"PATH": os.fsencode(tmp_path) + b":/nowhere"}

    with pytest.raises(PermissionError):
        start_by_name([b"program"], environ, empty)


def test_a_file_without_a_format_is_a_shell_script(tmp_path: Path, empty: int) -> None:
    script(tmp_path / "program", 'exit "$1"\n')
    environ = {b"PATH": os.fsencode(tmp_path)}

    status = wait_for(start_by_name([b"program", b"7"], environ, empty))

    assert exit_code(status) == 7


def test_without_path_a_program_is_looked_for_where_the_c_library_does(empty: int) -> None:
    assert exit_code(run_with_input([b"true"], empty, {})) == 0
