from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.system import interfaces
from pyqmail.system.interfaces import local_addresses

if TYPE_CHECKING:
    import pytest


def test_this_host_is_among_its_own_addresses() -> None:
    addresses = local_addresses()

    assert bytes(4) in addresses
    assert b"\x7f\0\0\x01" in addresses
    assert {len(address) for address in addresses} <= {4, 16}


def test_a_kernel_without_ipv6_has_no_such_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "_IPV6_TABLE", "/nonexistent")

    assert {len(address) for address in local_addresses()} == {4}
