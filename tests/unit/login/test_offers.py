from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.logins import LoginHome

from pyqmail.login.offers import WITH_PASSWORD, mechanisms

if TYPE_CHECKING:
    from pathlib import Path

SCRAM = "{SCRAM-SHA-256}4096,YQ==,YQ==,YQ=="
PLAIN = "{PLAIN}secret"


@pytest.fixture
def home(tmp_path: Path) -> LoginHome:
    return LoginHome(tmp_path)


@pytest.mark.parametrize(
    ("lines", "offered"),
    [
        ([], ()),
        ([f"joe:$1$a$b:{SCRAM}"], (b"SCRAM-SHA-256",)),
        ([f"joe:$1$a$b:{SCRAM}", f"# {SCRAM}", f"ann:{SCRAM}:{PLAIN}"], (b"SCRAM-SHA-256",)),
        ([f"joe:{SCRAM}:{PLAIN}"], (b"SCRAM-SHA-256", b"CRAM-MD5")),
        ([f"joe:{PLAIN}", f"ann:{PLAIN}"], (b"CRAM-MD5",)),
        ([f"joe:{SCRAM}", "ann:$1$a$b"], ()),
    ],
)
def test_what_works_for_all_is_offered(
    home: LoginHome, lines: list[str], offered: tuple[bytes, ...]
) -> None:
    home.users(*lines)

    assert mechanisms(home.path) == offered + WITH_PASSWORD


def test_a_change_is_seen(home: LoginHome) -> None:
    home.users(f"joe:{SCRAM}")
    assert mechanisms(home.path) == (b"SCRAM-SHA-256", *WITH_PASSWORD)

    home.users(f"joe:{SCRAM}", "ann:$1$a$b")

    assert mechanisms(home.path) == WITH_PASSWORD


@pytest.mark.parametrize("names", ["users\nshadow\n", "pam\n", ""])
def test_accounts_of_the_machine_have_passwords_only(home: LoginHome, names: str) -> None:
    home.users(f"joe:{SCRAM}")
    home.control("checkpassword", names)

    assert mechanisms(home.path) == WITH_PASSWORD


@pytest.mark.parametrize("trouble", ["joe:x", None])
def test_trouble_is_left_for_a_login_to_tell(home: LoginHome, trouble: str | None) -> None:
    if trouble is None:
        os.mkdir(f"{home.path}/users/passwd")
    else:
        home.users(trouble)

    assert mechanisms(home.path) == WITH_PASSWORD
