from __future__ import annotations

import os
import pwd

import pytest
from tests.support.children import in_child

from pyqmail.system.accounts import (
    Account,
    drop_to,
    find_account,
    find_account_of,
    find_group,
    groups_of,
)

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, who becomes another account")


def test_an_account_is_found_by_name_and_by_number() -> None:
    entry = pwd.getpwuid(os.getuid())

    found = find_account_of(os.getuid())

    assert found == Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
    assert find_account(entry.pw_name) == found
    assert hash(found) == hash(find_account(entry.pw_name))


def test_who_is_not_there_is_none() -> None:
    assert find_account("no-such-account") is None
    assert find_account("a\0b") is None
    assert find_account_of(2**31 - 7) is None
    assert find_group("no-such-group") is None
    assert find_group("a\0b") is None


def test_a_number_without_a_name_has_one_group() -> None:
    assert groups_of(Account("54321", 54321, 12345, "/")) == [12345]


def test_an_account_has_its_own_group_among_its_groups() -> None:
    account = find_account("nobody")

    assert account is not None
    assert account.gid in groups_of(account)


def test_who_is_that_user_already_stays_as_he_is() -> None:
    if os.getuid() == 0:
        pytest.skip("needs an ordinary user")
    before = (os.getresuid(), os.getresgid(), os.getgroups())

    drop_to(os.getuid(), os.getgid(), [os.getgid()])

    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before


@pytest.mark.root
@needs_root
def test_on_return_nothing_of_root_is_left() -> None:
    def work() -> tuple[object, ...]:
        drop_to(54321, 12345, [12345, 12346])
        with pytest.raises(PermissionError):
            os.setresuid(0, 0, 0)
        return os.getresuid(), os.getresgid(), os.getgroups()

    assert in_child(work) == ((54321,) * 3, (12345,) * 3, [12345, 12346])


@pytest.mark.root
@needs_root
def test_a_right_that_only_sleeps_is_given_up_too() -> None:
    def work() -> tuple[int, ...]:
        os.setresuid(54321, 54321, 0)
        os.seteuid(0)
        drop_to(54321, 12345, [12345])
        return os.getresuid()

    assert in_child(work) == (54321,) * 3
