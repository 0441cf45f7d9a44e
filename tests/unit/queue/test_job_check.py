from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.protocol.spawn import Job
from pyqmail.queue.job_check import JobRefused, open_job

if TYPE_CHECKING:
    from pathlib import Path


def job(slot: int = 0, path: bytes = b"0/23", recipient: bytes = b"a@b", **more: bool) -> Job:
    return Job(slot, path, b"s@c", recipient, **more)


def report_of(mess: Path, refused: Job, owner: int | None = None) -> bytes:
    with pytest.raises(JobRefused) as caught:
        open_job(refused, str(mess), os.getuid() if owner is None else owner, 10, {5})
    return caught.value.report


@pytest.fixture
def mess(tmp_path: Path) -> Path:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "23").write_bytes(b"hello\n")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "24").mkdir()
    return tmp_path


def test_the_message_of_a_sound_job_is_opened(mess: Path) -> None:
    message = open_job(job(), str(mess), os.getuid(), 10, {5})

    assert os.read(message, 100) == b"hello\n"
    os.close(message)


@pytest.mark.parametrize(
    ("refused", "report"),
    [
        (job(too_long=True), b"Zqmail-spawn out of memory. (#4.3.0)\n"),
        (job(slot=10), b"ZInternal error: delnum too big. (#4.3.5)\n"),
        (job(slot=5), b"ZInternal error: delnum in use. (#4.3.5)\n"),
        (job(path=b"../x"), b"DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        (job(path=b"/0/23"), b"DInternal error: messid has nonnumerics. (#5.3.5)\n"),
        (job(path=b"0" * 100), b"DInternal error: messid too long. (#5.3.5)\n"),
        (job(path=b""), b"DInternal error: messid too short. (#5.3.5)\n"),
        (job(recipient=b"a"), b"DSorry, address must include host name. (#5.1.3)\n"),
        (job(path=b"0/99"), b"Zqmail-spawn unable to open message. (#4.3.0)\n"),
        (job(path=b"1/24"), b"ZSorry, message has wrong type. (#4.3.5)\n"),
    ],
)
def test_an_unsound_job_is_answered_without_a_delivery(
    mess: Path, refused: Job, report: bytes
) -> None:
    assert report_of(mess, refused) == report


def test_a_message_of_somebody_else_is_not_delivered(mess: Path) -> None:
    assert report_of(mess, job(), os.getuid() + 1) == b"ZSorry, message has wrong owner. (#4.3.5)\n"
