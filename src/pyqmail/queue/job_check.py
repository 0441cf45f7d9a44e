"""What a spawner checks before it delivers: is the job sound, is the message what it should be.

qmail-send is trusted to schedule, not to name files: a spawner opens nothing
but regular files of qmailq in the queue. qmail-spawn(5) has the texts.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Final

    from pyqmail.protocol.spawn import Job

MAX_MESSAGE_PATH: Final = 99  # bytes of `20/457`; far more than any number needs


class JobRefused(Exception):  # noqa: N818  a refusal is an answer, not an error
    """Nothing is delivered; `report` is the answer to qmail-send, letter and text."""

    def __init__(self, report: bytes) -> None:
        super().__init__(report)
        self.report = report


def open_job(job: Job, mess: str, owner: int, slots: int, busy: Container[int]) -> int:
    """Return a descriptor that reads the message of `job`, or raise JobRefused.

    `mess` is the directory mess/ of the queue, and `owner` the user id of
    qmailq; `busy` are the slots whose deliveries still run.
    """
    check_job(job, slots, busy)
    return open_message(job, mess, owner)


def open_message(job: Job, mess: str, owner: int) -> int:
    """Return a descriptor that reads the message of a job that is sound, or raise JobRefused."""
    try:
        message = files.open_to_read(os.path.join(mess, os.fsdecode(job.message_path)))
    except OSError as error:
        raise JobRefused(b"Zqmail-spawn unable to open message. (#4.3.0)\n") from error
    try:
        _check_message(message, owner)
    except JobRefused:
        os.close(message)
        raise
    return message


def check_job(job: Job, slots: int, busy: Container[int]) -> None:
    """Raise JobRefused if `job` is not sound."""
    path = job.message_path
    if job.too_long:
        raise JobRefused(b"Zqmail-spawn out of memory. (#4.3.0)\n")
    if job.slot >= slots:
        raise JobRefused(b"ZInternal error: delnum too big. (#4.3.5)\n")
    if job.slot in busy:
        raise JobRefused(b"ZInternal error: delnum in use. (#4.3.5)\n")
    if path.startswith(b"/") or path.translate(None, b"0123456789/"):
        raise JobRefused(b"DInternal error: messid has nonnumerics. (#5.3.5)\n")
    if len(path) > MAX_MESSAGE_PATH:
        raise JobRefused(b"DInternal error: messid too long. (#5.3.5)\n")
    if not path:
        raise JobRefused(b"DInternal error: messid too short. (#5.3.5)\n")
    if b"@" not in job.forward_path:
        raise JobRefused(b"DSorry, address must include host name. (#5.1.3)\n")


def _check_message(message: int, owner: int) -> None:
    try:
        status = os.fstat(message)
    except OSError as error:
        raise JobRefused(b"Zqmail-spawn unable to fstat message. (#4.3.0)\n") from error
    if not stat.S_ISREG(status.st_mode):
        raise JobRefused(b"ZSorry, message has wrong type. (#4.3.5)\n")
    if status.st_uid != owner:
        raise JobRefused(b"ZSorry, message has wrong owner. (#4.3.5)\n")
