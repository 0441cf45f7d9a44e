from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.control.peers import PeerList

if TYPE_CHECKING:
    from pathlib import Path


def read(home: Path, text: str) -> PeerList:
    (home / "control").mkdir(exist_ok=True)
    (home / "control" / "xclientpeers").write_text(text)
    return PeerList.read(str(home), "xclientpeers")


@pytest.mark.parametrize(
    ("ip", "listed"),
    [
        (b"192.0.2.7", True),
        (b"::ffff:192.0.2.7", True),
        (b"192.0.2.8", False),
        (b"2001:db8::1", True),
        (b"2001:db9::1", False),
        (b"", False),
        (b"unknown", False),
        (b"\xff", False),
    ],
)
def test_a_list_holds_addresses_and_networks(tmp_path: Path, ip: bytes, listed: bool) -> None:  # noqa: FBT001
    assert (ip in read(tmp_path, "192.0.2.7\n2001:db8::/32\n")) == listed


def test_without_the_file_nobody_is_listed(tmp_path: Path) -> None:
    assert b"192.0.2.7" not in PeerList.read(str(tmp_path), "proxypeers")


def test_a_line_that_is_no_network_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="control/xclientpeers: no address or network"):
        read(tmp_path, "192.0.2.7/24\n")
