from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from pyqmail.errors import TransientFailure
from pyqmail.login.shadow import find_password

if TYPE_CHECKING:
    from pathlib import Path

ME = pwd.getpwuid(os.getuid()).pw_name
DAY = 86400


def password_of(folder: Path, line: str, now: int = 20000 * DAY) -> bytes:
    path = folder / "shadow"
    path.write_text(f"{ME}x:wrong::\n{line}\n{ME}:later::\n")
    return find_password(ME, now, str(path))


def test_the_first_line_of_the_account_counts(tmp_path: Path) -> None:
    assert password_of(tmp_path, f"{ME}:$6$a$b:1:2:3:4:5:") == b"$6$a$b"


@pytest.mark.parametrize(("days", "kept"), [(20000, b""), (20001, b"$6$a$b"), ("", b"$6$a$b")])
def test_nobody_logs_in_as_an_expired_account(tmp_path: Path, days: int | str, kept: bytes) -> None:
    assert password_of(tmp_path, f"{ME}:$6$a$b:1:2:3:4:5:{days}:") == kept


def test_an_account_without_a_shadow_has_what_the_password_database_says(tmp_path: Path) -> None:
    kept = pwd.getpwnam(ME).pw_passwd.encode()

    assert find_password(ME, 0, str(tmp_path / "absent")) == (b"" if kept == b"x" else kept)


def test_a_file_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(TransientFailure):
        find_password(ME, 0, str(tmp_path))
