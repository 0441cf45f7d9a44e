from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control import roles
from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import encode_cdb
from pyqmail.control.roles import Roles
from pyqmail.delivery import users
from pyqmail.delivery.users import (
    NoOwner,
    decode_owner,
    encode_owner,
    find_by_password,
    find_owner,
)
from pyqmail.system.accounts import Account

if TYPE_CHECKING:
    from pathlib import Path

UID = os.getuid() or 1000  # who owns the homes of this test, but never root


@pytest.fixture
def system_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roles:
    """A machine with the users joe, joe-bob and rooty; sam does not own his home."""
    accounts = {"rooty": Account("rooty", 0, 0, str(tmp_path))}
    for name, home in (("joe", "joe"), ("joe-bob", "bob"), ("sam", "none"), ("alias", "alias")):
        accounts[name] = Account(name, UID, 7, str(tmp_path / home))
    for home in ("joe", "bob"):
        (tmp_path / home).mkdir()
        os.chown(tmp_path / home, UID, -1)
    monkeypatch.setattr(users, "find_account", accounts.get)
    monkeypatch.setattr(roles, "find_account", accounts.get)
    return Roles(str(tmp_path), Account("root", 0, 0, "/root"))


@pytest.mark.parametrize(
    ("local", "owner"),
    [
        (b"joe", (b"joe", b"", b"")),
        (b"JOE", (b"joe", b"", b"")),
        (b"joe-x-Y", (b"joe", b"-", b"x-Y")),
        (b"joe-bob", (b"joe-bob", b"", b"")),
        (b"joe-bob-x", (b"joe-bob", b"-", b"x")),
        (b"joe-", (b"joe", b"-", b"")),
        (b"joey", (b"alias", b"-", b"joey")),
        (b"rooty", (b"alias", b"-", b"rooty")),
        (b"sam", (b"alias", b"-", b"sam")),
        (b"-joe", (b"alias", b"-", b"-joe")),
        (b"", (b"alias", b"-", b"")),
    ],
)
def test_the_longest_account_that_owns_its_home_gets_the_mail(
    system_home: Roles, local: bytes, owner: tuple[bytes, bytes, bytes]
) -> None:
    found = find_by_password(local, system_home)

    assert (found.user, found.dash, found.ext) == owner


def test_a_name_of_32_bytes_is_not_asked_for(
    system_home: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(users, "find_account", asked.append)

    find_by_password(b"x" * 31 + b"-" + b"y" * 1000, system_home)
    find_by_password(b"x" * 32, system_home)

    assert asked == ["x" * 31]


def test_without_the_account_alias_nobody_is_the_owner(
    system_home: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles, "find_account", lambda _name: None)

    with pytest.raises(NoOwner) as caught:
        find_by_password(b"nobody", system_home)

    assert caught.value.exit_code == users.NO_ALIAS


def test_in_a_private_home_no_account_of_the_machine_gets_mail(tmp_path: Path) -> None:
    private = Roles(str(tmp_path), Account("me", 1000, 1000, "/home/me"))

    found = find_by_password(b"root-x", private)

    assert (found.user, found.uid, found.home) == (b"alias", 1000, bytes(tmp_path / "alias"))
    assert (found.dash, found.ext) == (b"-", b"root-x")


def test_users_cdb_is_asked_before_the_accounts(system_home: Roles, tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    records = parse_assign(b"=joe:ann:5:6:/home/ann:-:x:\n.\n")
    (tmp_path / "users" / "cdb").write_bytes(encode_cdb(records))

    assert find_owner(str(tmp_path), b"joe", system_home).user == b"ann"
    assert find_owner(str(tmp_path), b"joe-x", system_home).user == b"joe"


def test_a_damaged_users_cdb_delays_all_mail(system_home: Roles, tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "cdb").write_bytes(b"x")

    with pytest.raises(NoOwner) as caught:
        find_owner(str(tmp_path), b"joe", system_home)

    assert caught.value.exit_code == users.DATABASE_TROUBLE


def test_an_owner_can_be_written_and_read_again(system_home: Roles) -> None:
    owner = find_by_password(b"joe-x", system_home)

    assert decode_owner(encode_owner(owner)) == owner


@pytest.mark.parametrize("text", [b"", b"joe\0", b"a\0b\0c\0d\0e\0f"])
def test_what_is_not_six_fields_is_no_owner(text: bytes) -> None:
    assert decode_owner(text) is None


def test_a_number_that_is_none_belongs_to_root_who_gets_nothing() -> None:
    owner = decode_owner(b"joe\0x\0" + b"9" * 5000 + b"\0/\0\0\0")

    assert owner is not None
    assert owner.uid == 0
