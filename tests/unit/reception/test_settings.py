from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.reception.settings import Settings, read_max_size

if TYPE_CHECKING:
    from pathlib import Path


def home_with(folder: Path, **controls: str) -> str:
    (folder / "control").mkdir()
    for name, text in controls.items():
        (folder / "control" / name).write_text(text)
    return str(folder)


def test_me_is_the_default_of_both_names(tmp_path: Path) -> None:
    settings = Settings.read(home_with(tmp_path, me="mail.example.org\n"), {})

    assert settings.greeting == settings.local_host == b"mail.example.org"
    assert settings.timeout == 1200
    assert settings.max_size is None


def test_the_names_can_be_set(tmp_path: Path) -> None:
    home = home_with(tmp_path, smtpgreeting="g  NO UCE \n", localiphost="l\n", timeoutsmtpd="0\n")

    settings = Settings.read(home, {})

    assert (settings.greeting, settings.local_host, settings.timeout) == (b"g  NO UCE", b"l", 1)


def test_without_me_nothing_is_replaced(tmp_path: Path) -> None:
    assert Settings.read(home_with(tmp_path, smtpgreeting="g\n"), {}).local_host is None


@pytest.mark.parametrize(
    "controls", [{}, {"me": "x\n", "timeoutsmtpd": "x\n"}, {"me": "x\n", "databytes": "1e3\n"}]
)
def test_what_cannot_be_read_is_said(tmp_path: Path, controls: dict[str, str]) -> None:
    with pytest.raises(ControlError):
        Settings.read(home_with(tmp_path, **controls), {})


@pytest.mark.parametrize(
    ("variable", "limit"),
    [
        (None, 20),
        (b"30", 30),
        (b"30k", 30),
        (b"0", None),
        (b"", None),
        (b"x", None),
        (b"9" * 5000, int("9" * 20)),
    ],
)
def test_databytes_of_the_connection_comes_first(
    tmp_path: Path, variable: bytes | None, limit: int | None
) -> None:
    home = home_with(tmp_path, databytes="20\n")
    environ = {} if variable is None else {b"DATABYTES": variable}

    assert read_max_size(home, environ) == limit
