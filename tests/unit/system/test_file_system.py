from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import recorded

from pyqmail.system import files
from pyqmail.system.file_system import FileSystem, waiting_bytes

if TYPE_CHECKING:
    from pathlib import Path

LITTLE = b"MemTotal: 1 kB\nDirty:  3000 kB\nWriteback:   500 kB\nWritebackTmp: 9 kB\n"
MUCH = LITTLE.replace(b" 3000 ", b" 3900 ")


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file system for one that is synced as a whole."""
    monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"xfs")


def test_what_waits_to_be_written_is_what_is_dirty_and_what_is_on_its_way() -> None:
    assert waiting_bytes(LITTLE) == 3500 * 1024


@pytest.mark.parametrize("meminfo", [b"", b"MemTotal: 1 kB\n", b"\nDirty: 1 kB\n", b"\nDirty: x"])
@pytest.mark.usefixtures("trusted")
def test_where_nobody_tells_much_may_be_waiting(tmp_path: Path, meminfo: bytes) -> None:
    shown = tmp_path / "meminfo"
    shown.write_bytes(meminfo)
    file_system = FileSystem([str(tmp_path)], str(shown))
    assert not file_system.has_little_to_write(0)
    file_system.close()


@pytest.mark.usefixtures("trusted")
def test_where_asking_fails_much_may_be_waiting(tmp_path: Path) -> None:
    file_system = FileSystem([str(tmp_path)], str(tmp_path))  # a folder cannot be read
    assert not file_system.has_little_to_write(0)
    file_system.close()


@pytest.mark.usefixtures("trusted")
def test_it_is_asked_each_time(tmp_path: Path) -> None:
    shown = tmp_path / "meminfo"
    shown.write_bytes(LITTLE)
    file_system = FileSystem([str(tmp_path)], str(shown))
    assert file_system.has_little_to_write(0)

    shown.write_bytes(MUCH)

    assert not file_system.has_little_to_write(0)
    file_system.close()


def test_the_kernel_tells_what_waits() -> None:
    with open("/proc/meminfo", "rb") as file:
        meminfo = file.read()
    assert b"\nDirty:" in meminfo[:4096]
    assert b"\nWriteback:" in meminfo[:4096]


@pytest.mark.usefixtures("trusted")
def test_a_file_system_is_synced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    file_system = FileSystem([str(tmp_path)])
    with recorded() as calls:
        file_system.sync()
    file_system.close()
    assert [name for name, *_ in calls] == ["sync_file_system", "sync"], "and the cache flushed"


def test_an_error_of_the_system_is_raised() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        files.sync_file_system(writing)


def test_one_that_is_not_known_to_keep_what_it_says_is_not_used() -> None:
    with pytest.raises(OSError, match="not supported"):
        FileSystem(["/proc"])


@pytest.mark.usefixtures("trusted")
def test_two_file_systems_are_not_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not supported"):
        FileSystem([str(tmp_path), "/proc"])


@pytest.mark.parametrize("release", ["5.7.19-generic", "4.19.0", "unknown"])
@pytest.mark.usefixtures("trusted")
def test_a_kernel_that_is_silent_about_errors_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    be_release(monkeypatch, release)
    with pytest.raises(OSError, match="not supported"):
        FileSystem([str(tmp_path)])


@pytest.mark.parametrize("release", ["5.8.0", "5.10.0-9-amd64", "6.1.0", "7.0"])
@pytest.mark.usefixtures("trusted")
def test_a_kernel_that_tells_errors_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    be_release(monkeypatch, release)
    file_system = FileSystem([str(tmp_path)])
    assert isinstance(file_system.has_little_to_write(0), bool)
    file_system.close()


def be_release(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """Have the system say that its kernel is this one."""
    real = os.uname()
    said = os.uname_result((real.sysname, real.nodename, release, real.version, real.machine))
    monkeypatch.setattr(os, "uname", lambda: said)
