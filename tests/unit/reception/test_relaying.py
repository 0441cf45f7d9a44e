from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.cdb import write_cdb
from pyqmail.control.files import ControlError
from pyqmail.reception.relaying import (
    AddressList,
    RelayDomains,
    parse_address_literal,
    replace_own_literal,
)

if TYPE_CHECKING:
    from pathlib import Path


def home_with(folder: Path, **controls: bytes) -> str:
    (folder / "control").mkdir()
    for name, text in controls.items():
        (folder / "control" / name).write_bytes(text)
    return str(folder)


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        (b"joe@example.org", True),
        (b"JOE@EXAMPLE.ORG", True),
        (b"joe@sub.example.org", False),
        (b"joe@example.org.", False),
        (b"joe@example.com", False),
        (b"joe@.example.com", True),
        (b"joe@a.b.example.com", True),
        (b"joe@example.net@example.org", True),
        (b"joe@example.org@example.net", False),
        (b"joe@", False),
        (b"joe", True),
        (b"", True),
    ],
)
def test_a_domain_is_taken_if_it_or_its_ending_is_listed(
    tmp_path: Path,
    address: bytes,
    taken: bool,  # noqa: FBT001
) -> None:
    domains = RelayDomains.read(home_with(tmp_path, rcpthosts=b"Example.org\n.example.com\n"))

    assert domains.take(address) is taken


def test_without_rcpthosts_every_domain_is_taken(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    write_cdb(f"{home}/control/morercpthosts.cdb", [(b"example.org", b"")])

    assert RelayDomains.read(home).take(b"joe@example.net")


def test_an_empty_rcpthosts_takes_no_domain(tmp_path: Path) -> None:
    assert not RelayDomains.read(home_with(tmp_path, rcpthosts=b"")).take(b"joe@example.net")


@pytest.mark.parametrize("address", [b"joe@ONE.example.net", b"joe@x.two.example.net"])
def test_morercpthosts_is_asked_too(tmp_path: Path, address: bytes) -> None:
    home = home_with(tmp_path, rcpthosts=b"example.org\n")
    records = [(b"one.example.net", b""), (b".two.example.net", b"")]
    write_cdb(f"{home}/control/morercpthosts.cdb", records)

    domains = RelayDomains.read(home)

    assert domains.take(address)
    assert not domains.take(b"joe@example.net")


def test_a_damaged_morercpthosts_takes_and_refuses_nobody(tmp_path: Path) -> None:
    home = home_with(tmp_path, rcpthosts=b"example.org\n")
    path = tmp_path / "control" / "morercpthosts.cdb"
    path.write_bytes(b"\xff" * 2048)

    with pytest.raises(ControlError):
        RelayDomains.read(home).take(b"joe@example.net")

    path.write_bytes(b"short")
    with pytest.raises(ControlError):
        RelayDomains.read(home)


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        (b"Sue@example.net", True),
        (b"ann@example.net", False),
        (b"ann@Example.com", True),
        (b"ann@x.example.com", False),
        (b"root", True),
        (b"", False),
    ],
)
def test_a_list_has_addresses_and_domains(
    tmp_path: Path,
    address: bytes,
    listed: bool,  # noqa: FBT001
) -> None:
    text = b"sue@example.net\n@example.com\nroot\n"
    senders = AddressList.read(home_with(tmp_path, badmailfrom=text), "badmailfrom")

    assert (address in senders) is listed


def test_an_absent_list_is_empty(tmp_path: Path) -> None:
    assert b"sue@example.net" not in AddressList.read(home_with(tmp_path), "badmailfrom")


@pytest.mark.parametrize(
    ("domain", "packed"),
    [
        (b"[127.0.0.1]", b"\x7f\0\0\x01"),
        (b"[127.0.0.01]", b"\x7f\0\0\x01"),
        (b"[383.256.00000000000000000256.1]", b"\x7f\0\0\x01"),
        (b"[IPv6:::1]", bytes(15) + b"\x01"),
        (b"[ipv6:2001:db8::7]", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07"),
        (b"[127.0.0.1", None),
        (b"[127.0.0.1]x", None),
        (b"[127.1]", None),
        (b"[127.0.0.\xb2]", None),
        (b"[127.0.0.+1]", None),
        (b"[IPv6:\xff]", None),
        (b"127.0.0.1", None),
        (b"", None),
    ],
)
def test_an_address_literal_is_read_as_leniently_as_ever(
    domain: bytes, packed: bytes | None
) -> None:
    assert parse_address_literal(domain) == packed


def test_only_our_own_literal_becomes_our_name() -> None:
    def is_ours(address: bytes) -> bool:
        return address == b"\x7f\0\0\x01"

    assert replace_own_literal(b"a@[127.0.0.1]", b"host", is_ours) == b"a@host"
    assert replace_own_literal(b"a@b@[127.0.0.1]", b"host", is_ours) == b"a@b@host"
    assert replace_own_literal(b"a@[192.0.2.1]", b"host", is_ours) == b"a@[192.0.2.1]"
    assert replace_own_literal(b"[127.0.0.1]", b"host", is_ours) == b"[127.0.0.1]"
    assert replace_own_literal(b"a@[127.0.0.1]", None, is_ours) == b"a@[127.0.0.1]"
