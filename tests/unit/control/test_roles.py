from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control import roles as module
from pyqmail.control.files import ControlError
from pyqmail.control.roles import Roles, roles_of
from pyqmail.errors import TransientFailure
from pyqmail.system.accounts import Account

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("qmaild", "qmaill", "qmailp", "qmailq", "qmailr", "qmails")
OWNER = Account("joe", 503, 78, "/home/joe")
ROOT = Account("root", 0, 0, "/root")


def test_in_a_private_home_every_role_is_its_owner() -> None:
    roles = Roles("/mail", OWNER)

    assert roles.private
    assert {getattr(roles, name) for name in NAMES} == {OWNER}
    assert roles.qmail_group == roles.nofiles_group == 78


def test_alias_of_a_private_home_lives_in_it_as_its_owner() -> None:
    assert Roles("/mail", OWNER).alias == Account("alias", 503, 78, "/mail/alias")


def test_in_a_system_home_each_role_is_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_account", lambda name: Account(name, 7, 8, "/"))
    monkeypatch.setattr(module, "find_group", {"qmail": 1, "nofiles": 2}.get)
    roles = Roles("/var/qmail", ROOT)

    assert not roles.private
    assert [getattr(roles, name).name for name in ("alias", *NAMES)] == ["alias", *NAMES]
    assert (roles.qmail_group, roles.nofiles_group) == (1, 2)


def test_an_account_that_is_missing_is_named_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "find_account", lambda _name: None)
    monkeypatch.setattr(module, "find_group", lambda _name: None)
    roles = Roles("/var/qmail", ROOT)

    with pytest.raises(TransientFailure, match="unable to find user qmailq"):
        _ = roles.qmailq
    with pytest.raises(TransientFailure, match="unable to find group nofiles"):
        _ = roles.nofiles_group


def test_the_owner_of_the_folder_decides(tmp_path: Path) -> None:
    roles = roles_of(str(tmp_path))

    assert roles.owner.uid == os.getuid()
    assert roles.private == (os.getuid() != 0)


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a folder away")
def test_an_owner_without_a_name_is_his_number(tmp_path: Path) -> None:
    os.chown(tmp_path, 54321, 12345)

    assert roles_of(str(tmp_path)).owner == Account("54321", 54321, 12345, str(tmp_path))


def test_a_home_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=f"{tmp_path}/home: file does not exist"):
        roles_of(f"{tmp_path}/home")
