"""Mail-only users of a system home: one account of the machine keeps the mail of all."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support import accounts
from tests.support.children import in_child
from tests.support.launchers import launcher_folder
from tests.support.mail_only_home import KEEPER, SystemHome, system_home
from tests.support.private_home import why_not

from pyqmail.control.assign import find_owner
from pyqmail.programs.recipient_check import RecipientCheck

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REASON = accounts.why_not() or why_not()
pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    pytest.mark.xdist_group("accounts"),
]

BUDI = "budi@virtual.example.org"


@pytest.fixture(scope="module")
def launchers() -> Iterator[str]:
    with launcher_folder() as folder:
        yield folder


@pytest.fixture
def home(launchers: str) -> Iterator[SystemHome]:
    with system_home(launchers) as made:
        yield made


def test_the_mail_of_all_is_the_keepers_and_nobody_elses(home: SystemHome) -> None:
    keeper = pwd.getpwnam(KEEPER)

    added = home.add(BUDI, "--json")

    folder = f"{os.path.realpath(keeper.pw_dir)}/domains/virtual.example.org/budi"
    assert json.loads(added.stdout) == {"name": BUDI, "folder": folder, "new": True}
    for path in (folder, f"{folder}/Maildir/new", f"{folder}/.qmail"):
        assert (os.stat(path).st_uid, os.stat(path).st_gid) == (keeper.pw_uid, keeper.pw_gid)
    assert stat.S_IMODE(os.stat(f"{folder}/Maildir").st_mode) == 0o700
    owner = find_owner(str(home.path), b"virtual.example.org-budi")
    assert owner is not None
    assert (owner.user, owner.uid) == (BUDI.encode(), keeper.pw_uid)


def test_the_password_is_for_root_alone_and_lets_the_user_in(
    home: SystemHome, launchers: str
) -> None:
    home.add(BUDI)

    home.qmailctl("user", "passwd", BUDI, text="correct horse\n")

    status = (home.path / "users" / "passwd").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o600)
    script = (
        f"printf '{BUDI}\\0correct horse\\0x\\0' | "
        f"(exec 3<&0; exec {launchers}/checkpassword sh -c 'id -un; pwd')"
    )
    said = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.defpath, "QMAILHOME": str(home.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    keeps = os.path.realpath(pwd.getpwnam(KEEPER).pw_dir)
    assert said == [KEEPER, f"{keeps}/domains/virtual.example.org/budi"]


def test_a_stranger_hears_who_exists_though_he_may_not_look(home: SystemHome) -> None:
    home.add(BUDI)
    folder = f"{pwd.getpwnam(KEEPER).pw_dir}/domains/virtual.example.org/budi"
    with open(f"{folder}/.qmail-list", "w", encoding="ascii") as file:
        file.write("./Maildir/\n")

    def look() -> None:
        os.setgid(pwd.getpwnam("qmaild").pw_gid)
        os.setuid(pwd.getpwnam("qmaild").pw_uid)
        check = RecipientCheck(str(home.path))
        names = ("budi", "budi-list", "budi-other", "nobody")
        found = [check.may_exist(f"{name}@virtual.example.org".encode()) for name in names]
        assert found == [True, True, False, False]
        assert not os.access(f"{folder}/Maildir/new", os.R_OK)

    in_child(look)


def test_users_at_home_are_listed_and_accounts_are_not(home: SystemHome) -> None:
    (home.path / "users" / "assign").write_text("=mv2:mv2:1234:1234:/var/lib/mv2:::\n.\n")

    assert home.add("aku").returncode == 0
    assert home.add(BUDI).returncode == 0

    listed = home.qmailctl("user", "list", "--json")
    assert [user["name"] for user in json.loads(listed.stdout)] == ["aku", BUDI]
    removed = home.qmailctl("user", "remove", "aku", "--account", KEEPER, "--with-mail", "--json")
    assert json.loads(removed.stdout)["mail"]
    assert (home.path / "users" / "assign").read_text().endswith(":::\n.\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("add", "mv2", "--account", KEEPER), "mail for mv2 is that of mv2, an account"),
        (("add", "aku"), "there is no account vmail to keep the mail: make one with useradd"),
        (("add", "aku", "--account", "root"), "nothing is delivered as root"),
        (("remove", "aku", "--account", KEEPER), "there is no user aku"),
    ],
)
def test_what_cannot_be_is_refused(home: SystemHome, arguments: tuple[str, ...], text: str) -> None:
    if text.startswith("there is no account") and "vmail" in {
        name.pw_name for name in pwd.getpwall()
    }:
        pytest.skip("this machine has an account vmail")

    done = home.qmailctl("user", *arguments)

    assert (done.returncode, done.stdout) == (100, "")
    assert text in done.stderr


def test_a_domain_of_an_account_is_its_own(home: SystemHome) -> None:
    (home.path / "control" / "virtualdomains").write_text("virtual.example.org:mv2\n")

    done = home.add(BUDI)

    assert done.returncode == 100
    assert "mail for mv2-budi is that of mv2, an account of this machine" in done.stderr


def test_a_user_whom_another_account_keeps_is_not_moved(home: SystemHome) -> None:
    home.add(BUDI)

    done = home.qmailctl("user", "add", BUDI, "--account", "mv2")

    assert done.returncode == 100
    assert "name the account that keeps it with --account" in done.stderr


def test_only_root_changes_users_of_a_system_home(home: SystemHome) -> None:
    done = home.qmailctl("user", "add", BUDI, user="nobody")

    assert done.returncode == 100
    assert f"{home.path} is a system home: run this as root" in done.stderr


def test_a_link_in_the_keepers_folder_leads_root_nowhere(home: SystemHome, tmp_path: Path) -> None:
    keeper = pwd.getpwnam(KEEPER)
    os.symlink(tmp_path, f"{keeper.pw_dir}/domains")

    done = home.add(BUDI)

    assert done.returncode == 111
    assert list(tmp_path.iterdir()) == []
