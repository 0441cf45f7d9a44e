from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from tests.support.dns_table import TableResolver

from pyqmail.home.findings import ERROR, NOTE, WARNING
from pyqmail.home.machine_checking import (
    check_clock,
    check_disk,
    check_port,
    disk_findings,
    dns_findings,
)

if TYPE_CHECKING:
    from pathlib import Path

ME = b"mail.example.org"
MB = 1024 * 1024


class Resolver(TableResolver):
    """Knows the names of one address, too."""

    async def names(self, address: str) -> list[bytes]:
        return [ME] if address == "192.0.2.7" else []


def asked(addresses: list[str], own: list[str], **broken: frozenset[tuple[bytes, str]]) -> str:
    found = dns_findings(ME, Resolver({ME: addresses}, **broken), own)
    assert {each.level for each in found} <= {WARNING}
    return "; ".join(each.text for each in found)


def test_a_clock_that_is_behind_the_files_of_the_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_bytes(b"x\n")
    written = os.stat(tmp_path / "control" / "me").st_mtime

    (found,) = check_clock(str(tmp_path), written - 3600)

    assert (found.level, found.place) == (ERROR, "clock")
    assert list(check_clock(str(tmp_path), written + 5)) == []


@pytest.mark.parametrize(
    ("room", "entries", "found"),
    [
        (4000 * MB, 10000, []),
        (4000 * MB, None, []),
        (50 * MB, 10000, [(WARNING, "has 50 MB left for the queue")]),
        (MB, None, [(ERROR, "has 1 MB left for the queue")]),
        (4000 * MB, 7, [(WARNING, "has room for 7 more files, however small")]),
    ],
)
def test_a_disk_that_is_nearly_full_is_named(
    room: int, entries: int | None, found: list[tuple[str, str]]
) -> None:
    assert [(each.level, each.text) for each in disk_findings(room, entries)] == found


def test_a_home_without_a_queue_has_no_disk_to_judge(tmp_path: Path) -> None:
    assert list(check_disk(str(tmp_path))) == []


def test_who_else_has_the_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        (found,) = check_port(port)

        assert (found.level, found.place) == (ERROR, f"port {port}")
        assert found.text.startswith(f"is in use by process {os.getpid()}, ")
    (free,) = check_port(port)
    assert free.level == NOTE


def test_a_name_without_an_address_is_named() -> None:
    assert asked([], ["192.0.2.7"]) == "has no address for mail.example.org, the name in control/me"


def test_a_name_that_leads_to_another_machine_is_named() -> None:
    assert asked(["192.0.2.9"], ["192.0.2.7"]) == (
        "says mail.example.org is 192.0.2.9, which is no address of this machine"
    )


def test_an_address_that_does_not_lead_back_is_named() -> None:
    assert asked(["192.0.2.7", "2001:db8::7"], ["192.0.2.7", "2001:DB8:0::7"]) == (
        "does not lead from 2001:db8::7 back to mail.example.org: other hosts may refuse our mail"
    )


def test_a_host_that_the_dns_knows_is_fine() -> None:
    assert asked(["192.0.2.7"], ["192.0.2.7", "127.0.0.1"]) == ""


def test_a_dns_that_does_not_answer_is_named() -> None:
    assert "does not answer" in asked([], [], broken=frozenset({(ME, "A")}))
