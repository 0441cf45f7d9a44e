from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user

from pyqmail.control.assign import find_owner
from pyqmail.control.files import ControlError
from pyqmail.control.roles import roles_of
from pyqmail.errors import Failure, PermanentFailure
from pyqmail.home import mailboxes
from pyqmail.home.mail_owner import MailOwner

if TYPE_CHECKING:
    from pathlib import Path


def mail_owner_of(home: Path) -> MailOwner:
    return MailOwner(roles_of(str(home)).owner, str(home), private=True)


def add(home: Path, *names: bytes) -> None:
    def work() -> None:
        for name in names:
            mailboxes.add_user(str(home), name, mail_owner_of(home))

    as_ordinary_user(work)


def remove(home: Path, name: bytes, *, with_mail: bool = False) -> None:
    def work() -> None:
        mailboxes.remove_user(str(home), name, mail_owner_of(home), with_mail=with_mail)

    as_ordinary_user(work)


def assign_of(home: Path) -> bytes:
    return (home / "users" / "assign").read_bytes()


def names_of(home: Path) -> list[bytes]:
    return [user.name for user in mailboxes.list_users(str(home))]


def test_a_new_user_has_a_maildir_and_instructions_for_it(home: Path) -> None:
    add(home, b"aku")

    folder = home / "home" / "aku"
    assert (folder / ".qmail").read_bytes() == b"./Maildir/\n"
    assert {path.name for path in (folder / "Maildir").iterdir()} == {"cur", "new", "tmp"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == (folder / "Maildir").stat().st_uid == home.stat().st_uid


def test_mail_for_a_user_and_his_extensions_is_his(home: Path) -> None:
    add(home, b"aku")

    exact = find_owner(str(home), b"Aku")
    extension = find_owner(str(home), b"aku-List")

    assert exact is not None
    assert (exact.user, os.fsdecode(exact.home), exact.dash, exact.ext) == (
        b"aku",
        f"{home}/home/aku",
        b"",
        b"",
    )
    assert exact.uid == home.stat().st_uid
    assert extension is not None
    assert (extension.dash, extension.ext) == (b"-", b"List")
    assert find_owner(str(home), b"akuma") is None


def test_the_database_is_what_the_file_says(home: Path) -> None:
    add(home, b"b", b"a")

    uid, gid = home.stat().st_uid, roles_of(str(home)).owner.gid
    assert assign_of(home).decode() == "".join(
        f"={name}:{name}:{uid}:{gid}:{home}/home/{name}:::\n"
        f"+{name}-:{name}:{uid}:{gid}:{home}/home/{name}:-::\n"
        for name in "ab"
    ) + (".\n")
    assert names_of(home) == [b"a", b"b"]


def test_lines_of_the_administrator_stay_where_they_are(home: Path) -> None:
    lines = b"=x:y:1:2:/z:::\n.\nnot read\n"
    (home / "users" / "assign").write_bytes(lines)

    add(home, b"aku")
    remove(home, b"aku")

    assert assign_of(home) == lines
    assert names_of(home) == []


def test_who_is_there_already_stays_as_he_is(home: Path) -> None:
    add(home, b"kamu", b"aku")
    before = assign_of(home)

    add(home, b"kamu")

    assert assign_of(home) == before


@pytest.mark.parametrize(
    "name",
    [
        *(b"", b".", b"..", b".a", b"a.", b"a/b", b"a@b", b"a:b", b"a b", b"a\n", b"A"),
        *(b"a" * 65, b"a\x7f", b'"a"', b"<a>"),
    ],
)
def test_a_name_that_no_mailbox_can_have_is_refused(home: Path, name: bytes) -> None:
    with pytest.raises(PermanentFailure, match="not a name for a user: "):
        add(home, name)

    assert list((home / "home").iterdir()) == []


@pytest.mark.parametrize("name", [b"a", b"a.b", b"a-b", b"a_b+c", "jörg".encode(), b"0" * 64])
def test_any_other_name_is_taken(home: Path, name: bytes) -> None:
    add(home, name)

    assert names_of(home) == [name]


def test_a_user_who_goes_leaves_his_mail(home: Path) -> None:
    add(home, b"aku", b"kamu")

    remove(home, b"aku")

    assert names_of(home) == [b"kamu"]
    assert find_owner(str(home), b"aku") is None
    assert find_owner(str(home), b"aku-x") is None
    assert (home / "home" / "aku" / "Maildir").is_dir()


def test_mail_goes_only_when_that_is_said(home: Path) -> None:
    add(home, b"aku")

    remove(home, b"aku", with_mail=True)

    assert list((home / "home").iterdir()) == []


def test_a_user_whose_folder_is_gone_can_be_removed(home: Path) -> None:
    add(home, b"aku")
    (home / "home" / "aku").rename(home / "home" / "elsewhere")

    remove(home, b"aku", with_mail=True)

    assert names_of(home) == []


def test_a_user_who_comes_back_finds_his_mail(home: Path) -> None:
    add(home, b"aku")
    (home / "home" / "aku" / "Maildir" / "new" / "1").write_text("old")
    (home / "home" / "aku" / ".qmail").write_text("|mine\n")
    remove(home, b"aku")

    add(home, b"aku")

    assert (home / "home" / "aku" / "Maildir" / "new" / "1").read_text() == "old"
    assert (home / "home" / "aku" / ".qmail").read_text() == "|mine\n"


def test_nobody_can_be_removed_who_is_not_there(home: Path) -> None:
    with pytest.raises(PermanentFailure, match="there is no user aku"):
        remove(home, b"aku")


def test_a_broken_file_is_not_made_worse(home: Path) -> None:
    (home / "users" / "assign").write_bytes(b"=x:y\n.\n")

    with pytest.raises(Failure, match="users/assign line 1: fewer than seven colons"):
        add(home, b"aku")

    assert assign_of(home) == b"=x:y\n.\n"
    assert not (home / "users" / "cdb").exists()


def test_listing_a_broken_file_names_its_line(home: Path) -> None:
    (home / "users" / "assign").write_bytes(b"=x:y:1:2:/z:::\n+a\n.\n")

    with pytest.raises(ControlError, match="users/assign line 2: "):
        mailboxes.list_users(str(home))


def test_without_the_folder_users_setup_is_recommended(home: Path) -> None:
    (home / "users").rmdir()

    with pytest.raises(PermanentFailure, match="users: run qmailctl setup"):
        add(home, b"aku")


def test_two_who_add_users_at_once_lose_neither(home: Path) -> None:
    names = [b"user%d" % number for number in range(8)]

    def work() -> list[int]:
        children = []
        for name in names:
            pid = os.fork()
            if not pid:
                mailboxes.add_user(str(home), name, mail_owner_of(home))
                os._exit(0)
            children.append(pid)
        return [os.waitpid(pid, 0)[1] for pid in children]

    assert as_ordinary_user(work) == [0] * len(names)
    assert names_of(home) == names
