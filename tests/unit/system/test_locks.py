from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from pyqmail.system.locks import holder_of_lock, lock_exclusively, try_lock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def two_openings(tmp_path: Path) -> tuple[int, int]:
    path = tmp_path / "file"
    path.touch()
    return os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)


def test_a_file_is_locked_by_one_opening_at_a_time(two_openings: tuple[int, int]) -> None:
    first, second = two_openings

    assert try_lock(first)
    assert not try_lock(second)


def test_a_lock_ends_when_its_file_is_closed(two_openings: tuple[int, int]) -> None:
    first, second = two_openings
    lock_exclusively(first)

    os.close(first)

    assert try_lock(second)


def test_waiting_for_a_lock_ends_with_the_timeout(two_openings: tuple[int, int]) -> None:
    first, second = two_openings
    lock_exclusively(first)
    handler = signal.getsignal(signal.SIGALRM)

    with pytest.raises(TimeoutError):
        lock_exclusively(second, timeout=0.01)

    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == handler


def test_a_free_file_is_locked_whatever_the_timeout(two_openings: tuple[int, int]) -> None:
    first, second = two_openings

    lock_exclusively(first, timeout=30)

    assert not try_lock(second)


def test_who_holds_a_lock_can_be_found(tmp_path: Path, two_openings: tuple[int, int]) -> None:
    path = str(tmp_path / "file")

    assert holder_of_lock(path) is None
    assert try_lock(two_openings[0])
    assert holder_of_lock(path) == os.getpid()
    assert holder_of_lock(path + ".gone") is None
