"""qmailctl user: passwords."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.children import as_ordinary_user
from tests.support.private_home import why_not

from pyqmail.login.sources import find_login

if TYPE_CHECKING:
    from tests.support.qmailctl import Qmailctl

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


def may_log_in(qmailctl: Qmailctl, name: bytes, password: bytes) -> bool:
    return as_ordinary_user(lambda: find_login(str(qmailctl.home), name, password) is not None)


def test_a_password_lets_its_user_in_until_it_is_taken_away(qmailctl: Qmailctl) -> None:
    qmailctl("user", "add", "joe")

    done = qmailctl("user", "passwd", "joe", text="secret\n")

    assert done.stdout == "joe can log in with the new password.\n"
    assert may_log_in(qmailctl, b"joe", b"secret")
    assert "secret" not in (qmailctl.home / "users" / "passwd").read_text()
    assert qmailctl("user", "passwd", "joe", "--remove").returncode == 0
    assert not may_log_in(qmailctl, b"joe", b"secret")
    assert qmailctl("user", "passwd", "joe", "--remove").returncode == 100


def test_a_user_can_be_added_with_a_password_and_takes_it_along(qmailctl: Qmailctl) -> None:
    assert qmailctl("user", "add", "joe", "--password", text="secret").returncode == 0
    assert may_log_in(qmailctl, b"joe", b"secret")

    qmailctl("user", "remove", "joe")

    assert (qmailctl.home / "users" / "passwd").read_text() == ""


@pytest.mark.parametrize(
    ("options", "scram", "plain"),
    [([], True, False), (["--no-scram"], False, False), (["--plain"], True, True)],
)
def test_what_is_kept_of_a_password_can_be_chosen(
    qmailctl: Qmailctl, options: list[str], *, scram: bool, plain: bool
) -> None:
    qmailctl("user", "add", "joe")

    qmailctl("user", "passwd", "joe", *options, text="secret\n")

    line = (qmailctl.home / "users" / "passwd").read_text()
    assert line.startswith("joe:$argon2id$")
    assert ("{SCRAM-SHA-256}" in line) == scram
    assert ("{PLAIN}secret" in line) == plain
    assert may_log_in(qmailctl, b"joe", b"secret")


@pytest.mark.parametrize(
    ("name", "password"), [("joe", ""), ("joe", "x" * 256), ("joe", "a\rb"), ("ann", "secret")]
)
def test_a_password_that_would_let_nobody_in_is_refused(
    qmailctl: Qmailctl, name: str, password: str
) -> None:
    qmailctl("user", "add", "joe")

    done = qmailctl("user", "passwd", name, text=password)

    assert done.returncode in (100, 111)
    assert done.stderr.startswith("qmailctl: fatal: ")
    assert not (qmailctl.home / "users" / "passwd").exists()


def test_check_looks_at_passwords(qmailctl: Qmailctl) -> None:
    passwd = qmailctl.home / "users" / "passwd"
    qmailctl("user", "add", "joe", "--password", text="secret")
    good = passwd.read_text()

    def found() -> str:
        answer = json.loads(qmailctl("check", "--json").stdout)
        return "".join(each["text"] for each in answer if each["place"].startswith("users/passwd"))

    assert found() == ""
    passwd.write_text(good + "ann:oops\n")
    assert "nobody knows" in found()
    passwd.write_text(good.replace("joe", "ann"))
    assert "not in users/assign" in found()
    passwd.chmod(0o644)
    assert "chmod o=" in found()
