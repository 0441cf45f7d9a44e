from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from pyqmail.home.readiness import READY, notify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_a_service_manager_hears_it(tmp_path: Path, *, abstract: bool) -> None:
    name = f"pyqmail.{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name if abstract else name)

        notify("@" + name if abstract else name, READY)

        assert manager.recv(100) == b"READY=1"


def test_nobody_is_told_where_there_is_no_service_manager(
    capsys: pytest.CaptureFixture[str],
) -> None:
    notify("", READY)

    assert capsys.readouterr().err == ""


def test_a_service_manager_that_has_gone_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notify(f"{tmp_path}/gone", READY)

    assert capsys.readouterr().err == (
        f"qmailctl: unable to tell {tmp_path}/gone READY=1: No such file or directory\n"
    )
