from __future__ import annotations

import contextlib
import os
import resource
import socket
from typing import TYPE_CHECKING

import pytest
from tests.support.children import in_child

from pyqmail.system import confinement
from pyqmail.system.confinement import Reach

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
needs_moves = pytest.mark.skipif(
    not confinement.moves_files(), reason="this kernel's Landlock cannot let files be moved"
)


def refused(*attempts: Callable[[], object]) -> list[bool]:
    """Return of each attempt whether it was refused."""
    seen = []
    for attempt in attempts:
        try:
            attempt()
        except PermissionError:
            seen.append(True)
        else:
            seen.append(False)
    return seen


def execute() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def connect() -> None:
    """Connect to a port that nobody has."""
    with contextlib.suppress(ConnectionRefusedError), socket.socket() as client:
        client.connect(("127.0.0.1", 1))


def folders_of(top: Path) -> tuple[Path, Path]:
    """Make a folder that is kept and one that is closed, each with a file."""
    kept, closed = top / "kept", top / "closed"
    for folder in (kept, closed):
        folder.mkdir()
        (folder / "file").write_text("text")
    return kept, closed


@needs_landlock
def test_a_confined_process_reads_what_it_was_left_and_does_nothing_else(tmp_path: Path) -> None:
    kept, closed = folders_of(tmp_path)

    def try_all() -> list[bool]:
        assert confinement.confine(Reach(readable=[str(kept), f"{tmp_path}/absent"]))
        return refused(
            (kept / "file").read_text,
            lambda: os.listdir(kept),
            (closed / "file").read_text,
            lambda: os.listdir(closed),
            lambda: (kept / "file").write_text("other"),
            (kept / "file").unlink,
            lambda: os.mkdir(kept / "new"),
            execute,
            lambda: os.kill(os.getppid(), 0),
        )

    assert in_child(try_all) == [False, False, *[True] * 7]
    assert not refused(execute)[0]


@needs_landlock
def test_files_that_are_there_may_be_written_and_no_others_made(tmp_path: Path) -> None:
    kept, closed = folders_of(tmp_path)

    def try_all() -> list[bool]:
        confinement.confine(Reach(written=[str(kept)], removed=[str(closed)]))
        return refused(
            lambda: (kept / "file").write_text("other"),
            (kept / "file").read_text,
            lambda: (kept / "new").write_text("new"),
            (kept / "file").unlink,
            (closed / "file").read_text,
            (closed / "file").unlink,
        )

    assert in_child(try_all) == [False, False, True, True, True, False]


@needs_landlock
@needs_moves
def test_files_move_between_the_folders_that_are_filled_and_nowhere_else(tmp_path: Path) -> None:
    kept, closed = folders_of(tmp_path)
    (tmp_path / "second").mkdir()

    def try_all() -> list[bool]:
        confinement.confine(Reach(filled=[str(kept), f"{tmp_path}/second"]))
        return refused(
            lambda: (kept / "new").write_text("new"),
            lambda: os.rename(kept / "new", tmp_path / "second" / "new"),
            lambda: os.link(tmp_path / "second" / "new", kept / "linked"),
            (kept / "linked").unlink,
            lambda: (closed / "new").write_text("new"),
            (closed / "file").unlink,
            lambda: os.mkdir(kept / "folder"),
            lambda: os.mkfifo(kept / "fifo"),
        )

    assert in_child(try_all) == [False] * 4 + [True] * 4


@needs_landlock
@pytest.mark.skipif(confinement.kernel_landlock() < 4, reason="this kernel's Landlock is too old")
def test_connections_are_made_only_by_who_needs_the_network() -> None:
    def with_network() -> list[bool]:
        confinement.confine(Reach())
        return refused(connect)

    def without() -> list[bool]:
        confinement.confine(Reach(network=False))
        return refused(connect)

    assert (in_child(with_network), in_child(without)) == ([False], [True])


def test_links_lead_to_folders_that_are_read_too_but_not_to_all(tmp_path: Path) -> None:
    live, archive = tmp_path / "live", tmp_path / "archive"
    control = tmp_path / "control"
    for folder in (live, archive, control):
        folder.mkdir()
    (archive / "cert1.pem").write_text("certificate")
    (live / "cert.pem").symlink_to("../archive/cert1.pem")
    (control / "servercert.pem").symlink_to(live / "cert.pem")
    (control / "clientcert.pem").symlink_to("servercert.pem")
    (control / "odd").symlink_to("/odd")
    (control / "loop").symlink_to("loop")

    found = confinement.with_targets(str(control))

    assert found == (str(control), str(live), str(archive))
    assert confinement.with_targets(f"{tmp_path}/absent") == (f"{tmp_path}/absent",)


def test_without_landlock_nothing_happens_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confinement, "kernel_landlock", lambda: 0)

    assert confinement.why_no_landlock() == "the kernel has none"
    assert not confinement.confine(Reach())


@needs_landlock
def test_a_kernel_that_cannot_move_files_confines_nobody_who_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confinement, "kernel_landlock", lambda: 1)

    assert in_child(lambda: confinement.confine(Reach(filled=["/tmp"]))) is False
    assert in_child(lambda: confinement.confine(Reach(written=["/tmp"]))) is True
