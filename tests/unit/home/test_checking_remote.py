from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trustme
from tests.support.children import as_ordinary_user

from pyqmail.home.checking import check_home
from pyqmail.home.findings import ERROR, WARNING

if TYPE_CHECKING:
    from pathlib import Path


def findings(home: Path) -> list[tuple[str, str, str]]:
    return as_ordinary_user(
        lambda: [(found.level, found.place, found.text) for found in check_home(str(home))]
    )


def write(home: Path, name: str, text: bytes, mode: int = 0o600) -> None:
    path = home / "control" / name
    path.write_bytes(text)
    path.chmod(mode)
    os.chown(path, home.stat().st_uid, home.stat().st_gid)


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("smtproutes", b"x\n", (WARNING, "control/smtproutes", "has no colon in the line x")),
        ("smtproutes", b":relay:70000\n", (ERROR, "control/smtproutes", "no port: 70000")),
        ("tlspolicy", b"a.example:perhaps\n", (ERROR, "control/tlspolicy", "no policy: perhaps")),
        ("tlspolicy", b"verify\n", (ERROR, "control/tlspolicy", "no colon in the line verify")),
        ("tlspolicy", b":may:x\n",
         (ERROR, "control/tlspolicy", "only verify goes with names: may:x")),
        ("outgoingip", b"here\n", (ERROR, "control/outgoingip", "no address: here")),
        (
            "smtproutes_auth",
            b"relay joe\n",
            (ERROR, "control/smtproutes_auth", "a line is not RELAY LOGIN PASSWORD"),
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_found(
    home: Path, name: str, text: bytes, finding: tuple[str, str, str]
) -> None:
    write(home, name, text)

    assert findings(home) == [finding]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("smtproutes", b"a.example:relay:26\nb.example:\n:[::1]\n"),
        ("tlspolicy", b"a.example:none\n.b.example:Verify:mx.b.example\n:may\n"),
        ("outgoingip", b"192.0.2.1\n2001:db8::1\n"),
        ("smtproutes_auth", b"relay:587 joe pass word\n"),
        ("tlsclientciphers", b"HIGH\n"),
    ],
)
def test_what_can_work_is_not(home: Path, name: str, text: bytes) -> None:
    write(home, name, text)

    assert findings(home) == []


def test_passwords_that_others_may_read_are_found(home: Path) -> None:
    write(home, "smtproutes_auth", b"relay joe secret\n", 0o640)

    text = "others than its owner may read it: chmod 600"
    assert findings(home) == [(ERROR, "control/smtproutes_auth", text)]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, who can give files away")
def test_passwords_that_qmail_remote_cannot_read_are_found(home: Path) -> None:
    write(home, "smtproutes_auth", b"relay joe secret\n")
    os.chown(home / "control/smtproutes_auth", 0, 0)

    (found,) = findings(home)

    assert found[:2] == (ERROR, "control/smtproutes_auth")
    assert found[2].startswith("belongs to uid 0, and qmail-remote cannot read it: chown ")


@pytest.mark.parametrize(("policy", "found"), [(b"may", True), (b"none", True), (b"verify", False)])
def test_a_password_for_anybody_is_found(home: Path, policy: bytes, *, found: bool) -> None:
    write(home, "smtproutes_auth", b"relay.example:587 joe secret\n")
    write(home, "tlspolicy", b".example:" + policy + b"\n")

    places = [place for _, place, _ in findings(home)]

    assert places == (["control/tlspolicy"] if found else [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clientcert.pem", b"no certificate"),
        ("serverca.pem", b"no certificate"),
        ("tlsclientciphers", b"NO-SUCH-CIPHER"),
    ],
)
def test_what_tls_cannot_use_is_found(home: Path, name: str, text: bytes) -> None:
    write(home, name, text)

    ((level, place, words),) = findings(home)

    assert (level, place) == (ERROR, f"control/{name}")
    assert words.startswith("cannot be used (")


def test_a_key_that_others_may_read_is_found(home: Path) -> None:
    authority = trustme.CA()
    ours = authority.issue_cert("me.example")
    write(home, "serverca.pem", authority.cert_pem.bytes(), 0o644)
    write(home, "clientcert.pem", ours.private_key_and_cert_chain_pem.bytes(), 0o600)
    before = findings(home)
    write(home, "clientcert.pem", ours.private_key_and_cert_chain_pem.bytes(), 0o644)

    text = "others can read the key: chmod o= control/clientcert.pem"
    assert (before, findings(home)) == ([], [(ERROR, "control/clientcert.pem", text)])
