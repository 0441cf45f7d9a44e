from __future__ import annotations

import hashlib
import os
import pwd
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import crypt_r
import pytest
from tests.support.logins import LoginHome

from pyqmail.control.files import ControlError
from pyqmail.errors import TransientFailure
from pyqmail.login import shadow, sources
from pyqmail.login.sources import find_login, login_of

if TYPE_CHECKING:
    from pathlib import Path

HASH = crypt_r.crypt("secret", crypt_r.METHOD_MD5)  # quick
ME = pwd.getpwuid(os.getuid())


@pytest.fixture
def home(tmp_path: Path) -> LoginHome:
    made = LoginHome(tmp_path)
    made.users(f"joe:{HASH}", f"ann@example.com:{HASH}", "sue:{PLAIN}secret", f"lost:{HASH}")
    return made


def test_a_user_of_mail_logs_in_as_the_owner_of_his_mailbox(home: LoginHome) -> None:
    login = find_login(home.path, b"Joe", b"secret")

    assert login is not None
    assert (login.user, login.uid, login.gid) == (b"joe", home.uid, home.gid)
    assert login.home == os.fsencode(home.joe)
    assert login.shell == b"/bin/false"


@pytest.mark.parametrize("password", [b"", b"Secret", b"secret ", b"secret\0"])
def test_with_another_password_nobody_does(home: LoginHome, password: bytes) -> None:
    assert find_login(home.path, b"joe", password) is None


@pytest.mark.parametrize("name", [b"", b"nobody-here", b"joe:x", b"joe\n"])
def test_who_is_not_there_does_not(home: LoginHome, name: bytes) -> None:
    assert find_login(home.path, name, b"secret") is None


@pytest.mark.parametrize("name", [b"joe", b"joe@EXAMPLE.org", b"ann@example.com"])
def test_a_name_means_what_mail_for_it_means(home: LoginHome, name: bytes) -> None:
    assert login_of(home.path, name).uid == home.uid


@pytest.mark.parametrize(
    "name", [b"ann", b"joe@example.com", b"joe@a.example.net", b"joe@example.edu", b"lost", b"toor"]
)
def test_a_password_without_a_mailbox_is_a_mistake_of_the_administrator(
    home: LoginHome, name: bytes
) -> None:
    with pytest.raises(TransientFailure, match="not in users/assign"):
        login_of(home.path, name)


def test_a_password_that_is_kept_in_plain_is_compared(home: LoginHome) -> None:
    home.users("joe:{PLAIN}secret")

    assert find_login(home.path, b"joe", b"secret") is not None
    assert find_login(home.path, b"joe", b"secre") is None


def apop(timestamp: bytes, password: bytes) -> bytes:
    """Return what RFC 1939 §7 wants."""
    return hashlib.md5(timestamp + password).hexdigest().encode()


@pytest.mark.parametrize(
    "entry", ["joe:{PLAIN}secret", f"joe:{HASH}:{{PLAIN}}secret"], ids=["alone", "beside a hash"]
)
def test_where_it_is_kept_in_plain_the_digest_of_the_timestamp_is_as_good(
    home: LoginHome, entry: str
) -> None:
    home.users(entry)

    assert find_login(home.path, b"joe", apop(b"<1@a>", b"secret"), b"<1@a>") is not None
    assert find_login(home.path, b"joe", b"secret", b"<1@a>") is not None
    for digest, timestamp in [
        (apop(b"<1@a>", b"secret"), b"<2@a>"),
        (apop(b"<1@a>", b"wrong"), b"<1@a>"),
        (apop(b"", b"secret"), b""),  # nobody has challenged with nothing
    ]:
        assert find_login(home.path, b"joe", digest, timestamp) is None


def test_where_only_a_hash_is_kept_no_digest_fits(home: LoginHome) -> None:
    assert find_login(home.path, b"joe", apop(b"<1@a>", b"secret"), b"<1@a>") is None
    assert find_login(home.path, b"joe", apop(b"<1@a>", b""), b"<1@a>") is None


def test_an_entry_with_no_way_in_lets_nobody_in(home: LoginHome) -> None:
    home.users("joe")
    home.users("joe:")

    assert find_login(home.path, b"joe", b"secret") is None


def test_a_damaged_database_is_no_answer(home: LoginHome) -> None:
    with open(f"{home.path}/users/cdb", "wb") as file:
        file.write(b"x")

    with pytest.raises(TransientFailure, match="users/cdb"):
        find_login(home.path, b"joe", b"secret")


def test_an_account_logs_in_as_itself(home: LoginHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home.control("checkpassword", "users\nshadow\n")
    monkeypatch.setattr(shadow, "find_password", lambda _name, _now: HASH.encode())

    login = find_login(home.path, ME.pw_name.encode(), b"secret")

    assert login is not None
    assert (login.user, login.uid) == (ME.pw_name.encode(), ME.pw_uid)
    assert login.shell == (ME.pw_shell or "/bin/sh").encode()
    assert find_login(home.path, ME.pw_name.encode(), b"wrong") is None
    assert find_login(home.path, b"no-such-account", b"secret") is None


def test_who_is_in_the_first_source_is_not_looked_for_in_the_second(
    home: LoginHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.control("checkpassword", "users\nshadow\n")
    home.users(f"{ME.pw_name}:$1$x$x")
    monkeypatch.setattr(shadow, "find_password", lambda _name, _now: HASH.encode())

    assert find_login(home.path, ME.pw_name.encode(), b"secret") is None


def test_a_source_that_is_not_known_is_an_error(home: LoginHome) -> None:
    home.control("checkpassword", "ldap\n")

    with pytest.raises(ControlError, match="not a source: ldap"):
        find_login(home.path, b"joe", b"secret")


class Pam:
    """Stands in for the library: lets root's password in, with the code it is told."""

    code_to_give = 0
    asked: list[tuple[bytes, bytes, bytes]]

    def __init__(self) -> None:
        self.code, self.reason = 0, "why"

    def authenticate(self, name: bytes, password: bytes, service: bytes) -> bool:
        Pam.asked = [(name, password, service)]
        self.code = Pam.code_to_give
        return self.code == 0


@pytest.fixture
def pam(home: LoginHome, monkeypatch: pytest.MonkeyPatch) -> type[Pam]:
    home.control("checkpassword", "pam mail\n")
    monkeypatch.setitem(sys.modules, "pam", SimpleNamespace(pam=Pam))  # type: ignore[misc]
    monkeypatch.setattr(Pam, "code_to_give", 0)
    return Pam


def test_pam_is_asked_for_its_service(home: LoginHome, pam: type[Pam]) -> None:
    login = find_login(home.path, ME.pw_name.encode(), b"secret")

    assert login is not None
    assert login.uid == ME.pw_uid
    assert pam.asked == [(ME.pw_name.encode(), b"secret", b"mail")]


@pytest.mark.parametrize("code", [7, 10, 13])
def test_whom_pam_refuses_is_refused(home: LoginHome, pam: type[Pam], code: int) -> None:
    pam.code_to_give = code

    assert find_login(home.path, b"root", b"secret") is None


@pytest.mark.parametrize("code", [4, 9, 28])
def test_pam_in_trouble_is_no_answer(home: LoginHome, pam: type[Pam], code: int) -> None:
    pam.code_to_give = code

    with pytest.raises(TransientFailure, match="PAM: why"):
        find_login(home.path, b"root", b"secret")


def test_without_the_library_pam_is_no_answer(
    home: LoginHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.control("checkpassword", "pam\n")
    monkeypatch.setitem(sys.modules, "pam", None)

    with pytest.raises(TransientFailure, match="python-pam"):
        find_login(home.path, b"root", b"secret")


def test_a_private_home_does_not_look_at_the_machines_accounts(
    home: LoginHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.unlink(f"{home.path}/control/checkpassword")
    for private, count in ((True, 1), (False, 2)):
        roles = SimpleNamespace(private=private)
        monkeypatch.setattr(sources, "roles_of", lambda _home, roles=roles: roles)

        assert len(list(sources.read_sources(home.path))) == count
