from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest
from tests.support.children import in_child

from pyqmail.system import confinement

if TYPE_CHECKING:
    from pathlib import Path

READABLE = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/dev")


def no_new_privileges() -> str:
    with open("/proc/self/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("NoNewPrivs"))
    return line.split()[1]


def test_no_program_gets_more_rights_after_that() -> None:
    def give_up() -> str:
        confinement.forbid_new_privileges()
        return no_new_privileges()

    assert in_child(give_up) == "1"


def test_a_crash_leaves_no_memory_behind() -> None:
    def give_up() -> tuple[int, int]:
        confinement.forbid_core_dumps()
        return resource.getrlimit(resource.RLIMIT_CORE)

    assert in_child(give_up) == (0, 0)


needs_landlock = pytest.mark.skipif(
    confinement.why_no_landlock() is not None, reason=f"Landlock: {confinement.why_no_landlock()}"
)


@needs_landlock
def test_a_confined_process_reaches_what_it_was_left(tmp_path: Path) -> None:
    kept, closed = tmp_path / "kept", tmp_path / "closed"
    for folder in (kept, closed):
        folder.mkdir()
        (folder / "file").write_text("text")

    def try_all() -> list[str]:
        assert confinement.confine([*READABLE, str(kept)], [])
        seen = [(kept / "file").read_text()]
        for attempt in (
            (closed / "file").read_text,
            lambda: (kept / "file").write_text("other"),
            lambda: os.posix_spawn("/bin/true", ["true"], {}),
            lambda: os.kill(os.getppid(), 0),
        ):
            try:
                attempt()
            except PermissionError:
                seen.append("refused")
        return seen

    assert in_child(try_all) == ["text", "refused", "refused", "refused", "refused"]


@needs_landlock
def test_a_confined_process_writes_where_it_may(tmp_path: Path) -> None:
    def write() -> str:
        confinement.confine(READABLE, [str(tmp_path)])
        (tmp_path / "file").write_text("text")
        return (tmp_path / "file").read_text()

    assert in_child(write) == "text"


def test_without_landlock_nothing_happens_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confinement, "kernel_landlock", lambda: 0)

    assert confinement.why_no_landlock() == "the kernel has none"
    assert not confinement.confine([], [])
