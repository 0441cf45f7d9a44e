from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user

from pyqmail.control.cdb import write_cdb
from pyqmail.control.roles import roles_of
from pyqmail.home import certificate, mailboxes
from pyqmail.home.checking import check_home
from pyqmail.home.findings import ERROR, WARNING
from pyqmail.home.mail_owner import MailOwner

if TYPE_CHECKING:
    from pathlib import Path


CERTIFICATE = "control/servercert.pem"


def findings(home: Path) -> list[tuple[str, str, str]]:
    return as_ordinary_user(
        lambda: [(found.level, found.place, found.text) for found in check_home(str(home))]
    )


def write(home: Path, name: str, text: bytes) -> None:
    (home / name).write_bytes(text)


def add_user(home: Path, name: bytes) -> None:
    mail_owner = MailOwner(roles_of(str(home)).owner, str(home), private=True)
    as_ordinary_user(lambda: mailboxes.add_user(str(home), name, mail_owner)[1])


def test_nothing_is_wrong_with_a_new_home(home: Path) -> None:
    assert findings(home) == []


def test_messages_that_wait_to_be_recovered_are_told_of(home: Path) -> None:
    write(home, "queue/journal/use", b"another-boot 00000000000000000001\n")

    text = "has messages from before the machine went down: start qmail-queued"
    assert findings(home) == [(ERROR, "queue/journal", text)]


def test_nothing_is_wrong_with_a_home_that_has_users(home: Path) -> None:
    add_user(home, b"aku")
    add_user(home, b"budi@virtual.example.org")

    assert findings(home) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("databytes", b"12x\n", (ERROR, "control/databytes line 1", "not a number: 12x")),
        ("me", b"", (ERROR, "control/me", "has no host name: run config-fast NAME")),
        (
            "bounceformat",
            b"html\n",
            (ERROR, "control/bounceformat line 1", "neither multipart nor qsbmf: html"),
        ),
        (
            "locals",
            b"mail.example.org\na.example\n",
            (WARNING, "control/rcpthosts", "lacks a.example, which is in locals"),
        ),
        (
            "virtualdomains",
            b"a.example:aku\n",
            (WARNING, "control/rcpthosts", "lacks a.example, which is in virtualdomains"),
        ),
        (
            "virtualdomains",
            b"mail.example.org:aku\n",
            (
                WARNING,
                "control/virtualdomains",
                "has mail.example.org, but so has locals, which comes first",
            ),
        ),
        (
            "virtualdomains",
            b"rubbish\xff\n",
            (WARNING, "control/virtualdomains", "has no colon in the line rubbish\\xff"),
        ),
        (
            "morercpthosts",
            b"a\n",
            (WARNING, "control/morercpthosts", "goes with morercpthosts.cdb: run qmail-newmrh"),
        ),
    ],
)
def test_what_is_wrong_with_a_control_file_is_said(
    home: Path, name: str, text: bytes, found: tuple[str, str, str]
) -> None:
    write(home, f"control/{name}", text)

    assert findings(home) == [found]


def test_a_home_that_relays_for_everybody_is_shouted_about(home: Path) -> None:
    (home / "control" / "rcpthosts").unlink()

    ((level, place, text),) = findings(home)

    assert (level, place) == (ERROR, "control/rcpthosts")
    assert "RELAYS FOR EVERYBODY" in text


def test_a_suffix_in_rcpthosts_covers_the_hosts_below(home: Path) -> None:
    write(home, "control/rcpthosts", b"mail.example.org\n.a.example\n")
    write(home, "control/locals", b"mail.example.org\nx.a.example\n")

    assert findings(home) == []


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            lambda home: (home / "run").rmdir(),
            (ERROR, "run", "is missing: run qmailctl setup"),
        ),
        (
            lambda home: (home / "boot").chmod(0o777),
            (ERROR, "boot", "everybody may write to it: chmod 755 boot"),
        ),
        (
            lambda home: (home / "alias").chmod(0o700),
            (WARNING, "alias", "has mode 0700 and not 2755: chmod 2755 alias"),
        ),
        (
            lambda home: (home / "queue" / "todo").chmod(0o700),
            (WARNING, "queue/todo", "has mode 0700 and not 0750: chmod 750 queue/todo"),
        ),
        (
            lambda home: (home / "alias" / ".qmail-postmaster").unlink(),
            (WARNING, "alias/.qmail-postmaster", "is missing: mail to postmaster bounces"),
        ),
        (
            lambda home: (home / "bin" / "pyqmail").unlink(),
            (ERROR, "bin/pyqmail", "is missing: run qmailctl setup"),
        ),
        (
            lambda home: (home / "bin" / "pyqmail").write_text("#!/gone/python -IS\nrest\n"),
            (ERROR, "bin/pyqmail", "cannot execute /gone/python: run qmailctl setup"),
        ),
        (
            lambda home: (home / "bin" / "pyqmail").write_text("rubbish"),
            (ERROR, "bin/pyqmail", "cannot execute rubbish: run qmailctl setup"),
        ),
        (
            lambda home: (home / "users" / "assign").write_text("=a:b\n.\n"),
            (ERROR, "users/assign line 1", "fewer than seven colons"),
        ),
        (
            lambda home: (home / "users" / "assign").write_text("=a:b:1:2:/:::\n.\n"),
            (ERROR, "users/cdb", "is missing, but users/assign is there: qmail-newu"),
        ),
    ],
)
def test_what_was_damaged_is_found_with_what_to_do(
    home: Path, damage: object, found: tuple[str, str, str]
) -> None:
    damage(home)  # type: ignore[operator]

    assert findings(home) == [found]


def test_a_database_that_is_not_of_its_file_is_found(home: Path) -> None:
    write(home, "users/assign", b"=a:b:1:2:/:::\n.\n")
    write_cdb(str(home / "users" / "cdb"), [(b"", b"")])

    assert findings(home) == [
        (WARNING, "users/cdb", "is not what users/assign says: run qmail-newu")
    ]


def test_a_damaged_database_is_found(home: Path) -> None:
    write(home, "users/cdb", b"rubbish")

    ((level, place, text),) = findings(home)

    assert (level, place) == (ERROR, "users/cdb")
    assert text.endswith("users/cdb: damaged database")


def test_a_user_without_a_folder_is_found(home: Path) -> None:
    add_user(home, b"aku")
    os.rename(home / "home" / "aku", home / "home" / "elsewhere")

    assert findings(home) == [
        (WARNING, "users/assign", f"aku has no folder {home}/home/aku: the mail waits")
    ]


def test_a_carriage_return_that_keeps_a_host_from_matching_is_found(home: Path) -> None:
    write(home, "control/morercpthosts", b"a\nb\r\nc\r\n")
    write_cdb(str(home / "control" / "morercpthosts.cdb"), [(b"a", b"")])

    ((level, place, text),) = findings(home)

    assert (level, place) == (WARNING, "control/morercpthosts line 2")
    assert text.startswith("ends with a CR, and never matches: ")


def test_morercpthosts_that_is_newer_than_its_database_is_found(home: Path) -> None:
    write(home, "control/morercpthosts", b"a\n")
    write_cdb(str(home / "control" / "morercpthosts.cdb"), [(b"a", b"")])
    os.utime(home / "control" / "morercpthosts.cdb", (1, 1))

    assert findings(home) == [
        (WARNING, "control/morercpthosts", "is newer than its .cdb: run qmail-newmrh")
    ]


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give files to another account")
def test_what_belongs_to_somebody_else_is_found(home: Path) -> None:
    os.chown(home / "control", 1, -1)

    uid = home.stat().st_uid
    assert findings(home) == [(ERROR, "control", f"belongs to uid 1: chown {uid} control")]


def test_a_certificate_that_is_missing_is_named_with_what_to_do(home: Path) -> None:
    (home / CERTIFICATE).unlink()

    assert findings(home) == [
        (
            WARNING,
            CERTIFICATE,
            "is missing, so neither TLS nor AUTH is offered: run qmailctl setup",
        )
    ]


def test_a_key_that_everybody_can_read_is_an_error(home: Path) -> None:
    (home / CERTIFICATE).chmod(0o644)

    assert findings(home) == [
        (ERROR, CERTIFICATE, "others can read the key: chmod o= control/servercert.pem")
    ]


def test_a_certificate_that_cannot_be_used_is_an_error(home: Path) -> None:
    (home / CERTIFICATE).write_text("-----BEGIN RUBBISH-----\n")

    ((level, place, text),) = findings(home)

    assert (level, place) == (ERROR, CERTIFICATE)
    assert text.startswith("cannot be used (")


@pytest.mark.parametrize(
    ("days", "found"),
    [
        (-1, [(ERROR, CERTIFICATE, "has expired: clients refuse it")]),
        (13, [(WARNING, CERTIFICATE, "expires in 13 days")]),
        (14, []),
    ],
)
def test_a_certificate_that_ends_is_told_of(
    home: Path, monkeypatch: pytest.MonkeyPatch, days: int, found: list[tuple[str, str, str]]
) -> None:
    monkeypatch.setattr(certificate, "days_left", lambda _path: days)

    assert findings(home) == found


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("proxypeers", b"192.0.2.7/24\n", "no address or network: 192.0.2.7/24"),
        ("xclientpeers", b"mail.example.org\n", "no address or network: mail.example.org"),
        ("authsenders", b"joe\n", "no login:address: joe"),
        ("checkpassword", b"users\nldap\n", "not a source: ldap"),
    ],
)
def test_a_list_that_no_server_can_read_is_an_error(
    home: Path, name: str, text: bytes, wrong: str
) -> None:
    write(home, f"control/{name}", text)

    assert findings(home) == [(ERROR, f"control/{name}", wrong)]


def test_a_database_of_hosts_that_is_damaged_is_an_error(home: Path) -> None:
    write(home, "control/morercpthosts", b"a\n")
    write(home, "control/morercpthosts.cdb", b"rubbish")

    ((level, place, text),) = findings(home)

    assert (level, place) == (ERROR, "control/morercpthosts.cdb")
    assert text.endswith(": run qmail-newmrh")


def test_ciphers_that_nobody_knows_are_an_error(home: Path) -> None:
    write(home, "control/tlsserverciphers", b"NO-SUCH-CIPHER\n")

    ((level, place, text),) = findings(home)

    assert (level, place) == (ERROR, "control/tlsserverciphers")
    assert text.endswith(": TLS is not offered")
