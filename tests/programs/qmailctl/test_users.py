"""qmailctl user: users of private homes, and of virtual domains."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.children import NOBODY
from tests.support.private_home import why_not

if TYPE_CHECKING:
    from tests.support.qmailctl import Qmailctl

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


def test_a_user_is_added_listed_and_removed(qmailctl: Qmailctl) -> None:
    folder = f"{qmailctl.home}/home/aku"

    added, listed = qmailctl("user", "add", "aku"), qmailctl("user", "list")
    as_json, removed = qmailctl("user", "list", "--json"), qmailctl("user", "remove", "aku")

    assert added.stdout == f"Mail for aku goes to {folder}/Maildir.\n"
    assert listed.stdout == f"aku\t{folder}\n"
    assert json.loads(as_json.stdout) == [{"name": "aku", "folder": folder}]
    assert removed.stdout == f"Mail for aku bounces from now on; {folder} stays.\n"
    assert qmailctl("user", "list", "--json").stdout == "[]\n"
    assert os.path.isdir(folder)


def test_a_user_can_be_removed_with_all_his_mail(qmailctl: Qmailctl) -> None:
    qmailctl("user", "add", "aku")

    done = qmailctl("user", "remove", "aku", "--with-mail")

    assert done.stdout.endswith("/home/aku is deleted.\n")
    assert not (qmailctl.home / "home" / "aku").exists()


def test_a_user_of_a_virtual_domain_is_added_listed_and_removed(qmailctl: Qmailctl) -> None:
    name = "budi@virtual.example.org"
    folder = f"{qmailctl.home}/domains/virtual.example.org/budi"

    added, again = (qmailctl("user", "add", name, "--json") for _ in range(2))
    plain = qmailctl("user", "add", name.upper().replace("BUDI", "budi"))
    listed = qmailctl("user", "list")
    removed = qmailctl("user", "remove", name, "--with-domain", "--with-mail")

    assert json.loads(added.stdout) == {"name": name, "folder": folder, "new": True}
    assert json.loads(again.stdout) == {"name": name, "folder": folder, "new": False}
    assert plain.stdout == f"Mail for {name} goes already to {folder}/Maildir.\n"
    assert listed.stdout == f"{name}\t{folder}\n"
    assert removed.stdout == (
        f"Mail for virtual.example.org is not taken any more; {folder} is deleted.\n"
    )
    assert qmailctl("user", "list", "--json").stdout == "[]\n"


def test_passwords_are_set_and_taken_away_as_scripts_want_it(qmailctl: Qmailctl) -> None:
    name = "budi@virtual.example.org"
    qmailctl("user", "add", name)

    given = qmailctl("user", "passwd", name, "--json", text="secret\n")
    taken = qmailctl("user", "passwd", name, "--json", "--remove")
    unknown = qmailctl("user", "passwd", "ani@virtual.example.org", "--json", text="secret\n")

    assert json.loads(given.stdout) == {"name": name, "password": True}
    assert json.loads(taken.stdout) == {"name": name, "password": False}
    assert (unknown.returncode, unknown.stdout) == (100, "")
    assert unknown.stderr == "qmailctl: fatal: there is no user ani@virtual.example.org\n"


def test_in_a_private_home_mail_is_nobodys_but_the_owners(qmailctl: Qmailctl) -> None:
    done = qmailctl("user", "add", "aku", "--account", "vmail")

    assert (done.returncode, done.stdout) == (100, "")
    assert "--account is for system homes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["add", "Aku"], "not a name for a user: Aku: use lower-case letters, digits and -_.+"),
        (["add", "../aku"], "not a name for a user: ../aku"),
        (["remove", "aku"], "there is no user aku"),
    ],
)
def test_what_cannot_be_a_user_is_refused(
    qmailctl: Qmailctl, arguments: list[str], text: str
) -> None:
    done = qmailctl("user", *arguments)

    assert (done.returncode, done.stderr) == (100, f"qmailctl: fatal: {text}\n")


def test_a_name_need_not_be_text(qmailctl: Qmailctl) -> None:
    added = qmailctl("user", "add", os.fsdecode(b"a\xff"))

    assert (added.returncode, added.stderr) == (0, "")
    assert qmailctl("user", "list").stdout.startswith("a\\xff\t")
    assert (qmailctl.home / "home" / os.fsdecode(b"a\xff")).is_dir()


def test_a_broken_line_is_named_with_file_and_number(qmailctl: Qmailctl) -> None:
    (qmailctl.home / "users" / "assign").write_text("=a:b:1:2:/:::\n+c:d\n.\n")

    done = qmailctl("user", "list")

    assert (done.returncode, done.stderr) == (
        111,
        "qmailctl: fatal: users/assign line 2: fewer than seven colons\n",
    )


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, who becomes the owner of a home")
def test_what_root_adds_belongs_to_the_owner_of_the_home(qmailctl: Qmailctl) -> None:
    qmailctl("user", "add", "aku", as_root=True)

    top = qmailctl.home / "home" / "aku"
    assert {path.stat().st_uid for path in [top, *top.rglob("*")]} == {NOBODY}
