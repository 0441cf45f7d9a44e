from __future__ import annotations

from pyqmail.system import names


def test_the_loopback_address_is_our_own() -> None:
    assert "127.0.0.1" in names.own_addresses()
    assert "0.0.0.0" not in names.own_addresses()


def test_an_address_is_its_own_address() -> None:
    assert names.addresses_of("127.0.0.1") == ["127.0.0.1"]


def test_what_can_be_no_name_has_no_address() -> None:
    assert names.addresses_of("a..b") == []
    assert names.addresses_of("a" * 64) == []
    assert names.name_of("192.0.2.1.") is None


def test_the_name_of_the_machine_is_in_lower_case() -> None:
    assert names.host_name()
    assert names.host_name() == names.host_name().lower()
