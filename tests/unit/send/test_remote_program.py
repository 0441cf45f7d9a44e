from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.protocol.spawn import Job
from pyqmail.send.gathering import Gathering
from pyqmail.send.remote_program import RemoteProgram

if TYPE_CHECKING:
    from pathlib import Path

JOB = Job(0, b"0/23", b"s@x", b"ann@far.example")


def deliver(program: Path) -> list[bytes]:
    message = os.open(os.devnull, os.O_RDONLY)
    try:
        remote = RemoteProgram(os.fsencode(program), {b"PATH": os.defpath.encode()})
        return asyncio.run(remote.deliver(Gathering(1).begin(JOB), message))
    finally:
        os.close(message)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "remote"
    path.write_text("#!/bin/sh\nprintf 'r\\0K%s\\n\\0' \"$3\"\n")
    path.chmod(0o755)
    return path


def test_its_report_is_passed_on(program: Path) -> None:
    assert deliver(program) == [b"Kann@far.example\n"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE, errno.EPERM])
def test_where_the_kernel_gives_no_handle_its_end_is_waited_for_all_the_same(
    program: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", refuse)

    assert deliver(program) == [b"Kann@far.example\n"]
