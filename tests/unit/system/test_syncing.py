from __future__ import annotations

import errno
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded

from pyqmail.system import file_system, files
from pyqmail.system.syncing import Syncer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def syncer() -> Iterator[Syncer]:
    made = Syncer(["/proc"])  # no file system that is synced as a whole
    yield made
    made.close()


@pytest.fixture
def descriptors(tmp_path: Path) -> Iterator[list[int]]:
    with ExitStack() as stack:
        files = [stack.enter_context((tmp_path / f"{n}").open("w")) for n in range(10)]
        yield [file.fileno() for file in files]


def test_every_file_and_every_directory_is_synced_once(
    syncer: Syncer, descriptors: list[int], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    folders = [str(tmp_path), str(tmp_path / "folder")]

    with recorded() as calls:
        syncer.sync_all(descriptors, folders)

    synced = [argument for name, argument, *_ in calls if name == "sync"]
    assert sorted(synced) == sorted(descriptors)
    assert sorted(argument for name, argument, *_ in calls if name != "sync") == folders


@pytest.mark.parametrize("step", [0, 4, 9])
def test_one_that_fails_is_told_of_and_the_next_ones_are_not(
    syncer: Syncer, descriptors: list[int], tmp_path: Path, step: int
) -> None:
    with (
        failing(errno.EIO, step, on="sync"),
        pytest.raises(OSError, match="Input/output error"),
    ):
        syncer.sync_all(descriptors, [str(tmp_path)])

    with recorded() as calls:
        syncer.sync_all(descriptors, [])
    assert len(calls) == len(descriptors)


def test_one_that_fails_is_told_of_when_all_that_were_begun_have_ended(
    syncer: Syncer, descriptors: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    ended: list[int] = []

    def sync(descriptor: int) -> None:
        begun.append(descriptor)
        if descriptor == descriptors[0]:
            raise OSError(errno.EIO, "first")
        time.sleep(0.01)
        ended.append(descriptor)

    monkeypatch.setattr(files, "sync", sync)

    with pytest.raises(OSError, match="first"):
        syncer.sync_all(descriptors, [])

    assert len(ended) >= len(descriptors) // 2, "the other threads go on"
    assert sorted(begun) == sorted([descriptors[0], *ended])


# All of a file system at once.


WHOLE = ["sync_file_system", "sync"]  # the second flushes the disk's cache


class WholeSyncer:
    """A Syncer on a file system that is trusted, where so much waits to be written."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pyqmail.system.file_system._type_of", lambda _device: b"ext4")
        monkeypatch.setattr(file_system, "waiting_bytes", lambda _meminfo: self.waiting)
        self.waiting = 0
        self.syncer = Syncer([str(tmp_path)])

    def calls(self, descriptors: list[int], folders: list[str]) -> list[str]:
        """Return the names of the calls that make these durable."""
        with recorded() as calls:
            self.syncer.sync_all(descriptors, folders)
        return [name for name, *_ in calls]


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WholeSyncer]:
    made = WholeSyncer(tmp_path, monkeypatch)
    yield made
    made.syncer.close()


def test_many_files_are_one_call(
    whole: WholeSyncer, descriptors: list[int], tmp_path: Path
) -> None:
    assert whole.calls(descriptors, [str(tmp_path)]) == WHOLE


def test_few_files_are_not(whole: WholeSyncer, descriptors: list[int], tmp_path: Path) -> None:
    calls = whole.calls(descriptors[:3], [str(tmp_path)])
    assert sorted(calls) == ["sync"] * 3 + ["sync_directory"]


def test_many_files_are_synced_one_by_one_while_strangers_have_much_to_write(
    whole: WholeSyncer, descriptors: list[int]
) -> None:
    whole.waiting = (4 << 20) + len(descriptors) * (128 << 10)
    assert whole.calls(descriptors, []) == ["sync"] * 10
    whole.waiting -= 1
    assert whole.calls(descriptors, []) == WHOLE


def test_one_call_that_fails_is_told_of(whole: WholeSyncer, descriptors: list[int]) -> None:
    with failing(errno.EIO, 0), pytest.raises(OSError, match="Input/output error"):
        whole.syncer.sync_all(descriptors, [])


def test_nothing_is_synced_where_there_is_nothing(syncer: Syncer) -> None:
    with recorded() as calls:
        syncer.sync_all([], [])

    assert calls == []
