"""Users in virtual domains: whose mail it is, and what the control files say then."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user

from pyqmail.control.assign import find_owner
from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home import mailboxes
from pyqmail.home.mail_owner import MailOwner
from pyqmail.login.passwords import Entry, find_entry, set_entry
from pyqmail.login.sources import login_of

if TYPE_CHECKING:
    from pathlib import Path

DOMAIN = "virtual.example.org"
BUDI = b"budi@virtual.example.org"


def mail_owner_of(home: Path) -> MailOwner:
    return MailOwner(roles_of(str(home)).owner, str(home), private=True)


def add(home: Path, *names: bytes) -> None:
    def work() -> None:
        for name in names:
            mailboxes.add_user(str(home), name, mail_owner_of(home))

    as_ordinary_user(work)


def remove(
    home: Path, name: bytes, *, with_mail: bool = False, with_domain: bool = False
) -> mailboxes.Removal:
    return as_ordinary_user(
        lambda: mailboxes.remove_user(
            str(home), name, mail_owner_of(home), with_mail=with_mail, with_domain=with_domain
        )
    )


def control(home: Path, name: str) -> str:
    return (home / "control" / name).read_text()


def write_control(home: Path, name: str, text: str) -> None:
    (home / "control" / name).write_text(text)


def everything(home: Path) -> dict[str, bytes]:
    """Return all that adding a user changes, by path."""
    tops = ("control", "users", "alias", "domains", "home")
    paths = [path for top in tops for path in (home / top).rglob("*")]
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


def test_a_user_of_a_new_domain_has_a_maildir_of_his_own(home: Path) -> None:
    add(home, BUDI)

    folder = home / "domains" / DOMAIN / "budi"
    assert (folder / ".qmail").read_bytes() == b"./Maildir/\n"
    assert {path.name for path in (folder / "Maildir").iterdir()} == {"cur", "new", "tmp"}
    assert folder.stat().st_uid == home.stat().st_uid
    assert [(user.name, user.domain) for user in mailboxes.list_users(str(home))] == [
        (BUDI, DOMAIN.encode())
    ]


def test_mail_for_a_new_domain_is_taken_and_is_its_users(home: Path) -> None:
    add(home, BUDI)

    owner = find_owner(str(home), b"virtual.example.org-Budi-List")

    assert control(home, "virtualdomains") == f"{DOMAIN}:{DOMAIN}\n"
    assert control(home, "rcpthosts") == f"mail.example.org\n{DOMAIN}\n"
    assert owner is not None
    assert (owner.user, owner.dash, owner.ext) == (BUDI, b"-", b"List")
    assert os.fsdecode(owner.home) == f"{home}/domains/{DOMAIN}/budi"


def test_mail_for_the_postmaster_of_a_new_domain_is_for_ours(home: Path) -> None:
    add(home, BUDI)

    path = home / "alias" / ".qmail-virtual:example:org-postmaster"

    assert path.read_bytes() == b"&postmaster\n"


def test_what_is_done_once_is_done(home: Path) -> None:
    add(home, BUDI)
    before = everything(home)

    add(home, b"budi@Virtual.Example.ORG")

    assert everything(home) == before


@pytest.mark.parametrize("missing", ["virtualdomains", "rcpthosts", "folder", "alias", "cdb"])
def test_what_was_left_undone_is_completed(home: Path, missing: str) -> None:
    write_control(home, "rcpthosts", "mail.example.org\n")
    add(home, BUDI)
    before = everything(home)
    if missing == "folder":
        (home / "domains" / DOMAIN / "budi" / "Maildir").rename(home / "gone")
    elif missing == "alias":
        (home / "alias" / ".qmail-virtual:example:org-postmaster").unlink()
    elif missing == "cdb":
        (home / "users" / "cdb").unlink()
    else:
        write_control(home, missing, "mail.example.org\n" if missing == "rcpthosts" else "")

    add(home, BUDI)

    assert everything(home) == before


def test_one_name_in_two_domains_and_at_home_is_three_users(home: Path) -> None:
    names = [b"budi", BUDI, b"budi@other.example.org"]

    add(home, *names)

    assert {user.name for user in mailboxes.list_users(str(home))} == set(names)
    assert len({user.folder for user in mailboxes.list_users(str(home))}) == 3


def test_a_name_in_a_domain_of_the_host_itself_is_a_plain_one(home: Path) -> None:
    add(home, b"aku@mail.example.org")

    assert [user.name for user in mailboxes.list_users(str(home))] == [b"aku"]
    assert not (home / "control" / "virtualdomains").exists()


def test_the_prefix_that_the_administrator_chose_stays(home: Path) -> None:
    write_control(home, "virtualdomains", "# ours\nVirtual.example.org:vip\n")

    add(home, BUDI)

    assert control(home, "virtualdomains") == "# ours\nVirtual.example.org:vip\n"
    assert find_owner(str(home), b"vip-budi") is not None
    assert login_of(str(home), BUDI).home.endswith(b"/domains/virtual.example.org/budi")


def test_a_domain_that_a_wildcard_lets_in_needs_no_line_of_its_own(home: Path) -> None:
    write_control(home, "rcpthosts", "mail.example.org\n.example.org\n")

    add(home, BUDI)

    assert control(home, "rcpthosts") == "mail.example.org\n.example.org\n"


def test_a_host_that_takes_everything_is_not_closed_by_a_domain(home: Path) -> None:
    (home / "control" / "rcpthosts").unlink()

    add(home, BUDI)

    assert not (home / "control" / "rcpthosts").exists()


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("budi@virtual.example.org:aku\n", "budi@virtual.example.org:aku"),
        ("virtual.example.org:\n", "virtual.example.org:"),
        (".example.org:aku\n", ".example.org:aku"),
        (":aku\n", ":aku"),
    ],
)
def test_a_domain_whose_mail_goes_elsewhere_is_not_taken_over(
    home: Path, table: str, line: str
) -> None:
    write_control(home, "virtualdomains", table)
    before = everything(home)

    with pytest.raises(PermanentFailure, match="control/virtualdomains says where") as caught:
        add(home, BUDI)

    assert str(caught.value).endswith(line)
    assert everything(home) == before


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"virtual.example.org", BUDI),
        (b"virtual.example.org-budi", BUDI),
        (BUDI, b"virtual.example.org"),
        (b"b.net-c@a.org", b"c@a.org-b.net"),
        (b"x@a.org-b.net", b"b.net@a.org"),
    ],
)
def test_nobody_gets_mail_that_is_somebody_elses_already(
    home: Path, first: bytes, second: bytes
) -> None:
    add(home, first)
    before = everything(home)

    with pytest.raises(PermanentFailure, match="is that of the user " + first.decode()):
        add(home, second)

    assert everything(home) == before


def test_a_domain_that_a_user_looks_after_is_his(home: Path) -> None:
    add(home, b"aku")
    write_control(home, "virtualdomains", "virtual.example.org:aku\n")

    with pytest.raises(PermanentFailure, match="mail for aku-budi is that of the user aku"):
        add(home, BUDI)


def test_a_line_that_the_administrator_wrote_is_not_pushed_aside(home: Path) -> None:
    (home / "users" / "assign").write_text("=aku:joe:1:1:/x:::\n.\n")

    with pytest.raises(PermanentFailure, match="mail for aku is that of somebody else"):
        add(home, b"aku")


@pytest.mark.parametrize(
    "name",
    [b"@virtual.example.org", b"budi@", b"budi@org", b"../x@a.org", b"Budi@a.org", b"a@b..c"],
)
def test_what_is_no_address_is_refused_and_changes_nothing(home: Path, name: bytes) -> None:
    before = everything(home)

    for change in (add, remove):
        with pytest.raises(PermanentFailure, match=r"not a (host )?name"):
            change(home, name)

    assert everything(home) == before


def test_who_is_removed_leaves_his_mail_and_his_domain(home: Path) -> None:
    add(home, BUDI)

    gone = remove(home, BUDI)

    assert (gone.mail, gone.domain) == (False, False)
    assert find_owner(str(home), b"virtual.example.org-budi") is None
    assert control(home, "virtualdomains") == f"{DOMAIN}:{DOMAIN}\n"
    assert (home / "domains" / DOMAIN / "budi" / "Maildir").is_dir()


def test_a_password_goes_with_its_user(home: Path) -> None:
    add(home, BUDI)
    as_ordinary_user(lambda: set_entry(str(home), Entry(BUDI, secret=b"x")))

    remove(home, BUDI)

    assert find_entry(str(home), BUDI) is None


def test_mail_that_was_kept_can_be_removed_later(home: Path) -> None:
    add(home, BUDI)
    remove(home, BUDI)

    gone = remove(home, BUDI, with_mail=True)

    assert gone.mail
    assert list((home / "domains").iterdir()) == []


def test_a_removal_that_broke_off_can_be_completed(home: Path) -> None:
    add(home, BUDI)
    as_ordinary_user(lambda: set_entry(str(home), Entry(BUDI, secret=b"x")))
    (home / "users" / "assign").write_bytes(b".\n")

    remove(home, BUDI)

    assert find_entry(str(home), BUDI) is None
    with pytest.raises(PermanentFailure, match="there is no user budi@virtual"):
        remove(home, BUDI)


def test_the_last_user_can_close_the_domain(home: Path) -> None:
    before = everything(home)
    add(home, b"ani@virtual.example.org", BUDI)

    first = remove(home, BUDI, with_mail=True, with_domain=True)
    second = remove(home, b"ani@virtual.example.org", with_mail=True, with_domain=True)

    assert (first.domain, second.domain) == (False, True)
    assert control(home, "rcpthosts") == "mail.example.org\n"
    assert control(home, "virtualdomains") == ""
    left = {path: text for path, text in everything(home).items() if "/users/" not in path}
    assert left.keys() - {f"{home}/control/virtualdomains"} == {
        path for path in before if "/users/" not in path
    }


def test_instructions_for_postmaster_that_somebody_wrote_stay(home: Path) -> None:
    path = home / "alias" / ".qmail-virtual:example:org-postmaster"
    path.write_text("&ani@example.net\n")
    add(home, BUDI)

    remove(home, BUDI, with_domain=True)

    assert path.read_text() == "&ani@example.net\n"


def test_a_whole_address_in_a_domain_of_the_host_finds_the_plain_password(home: Path) -> None:
    as_ordinary_user(lambda: set_entry(str(home), Entry(b"aku", secret=b"x")))

    found = find_entry(str(home), b"Aku@Mail.Example.org")

    assert found is not None
    assert found.name == b"aku"
    assert find_entry(str(home), b"aku@virtual.example.org") is None
