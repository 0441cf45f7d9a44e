from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.reception.settings import Settings, SettingsReader, read_max_size

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


@pytest.fixture
def hours_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all that was written before be no longer recent."""
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + 3600 * 10**9)


def said(settings: Settings) -> tuple[bytes, int | None, bool]:
    return settings.greeting, settings.max_size, settings.domains.listed is None


@pytest.mark.usefixtures("hours_later")
def test_settings_are_read_once_while_nothing_changes(tmp_path: Path) -> None:
    home = home_with(tmp_path, me="mail.example.org\n")
    reader = SettingsReader()

    first = reader.read(home, {})

    assert reader.read(home, {}) is first
    assert said(first) == said(Settings.read(home, {}))


@pytest.mark.usefixtures("hours_later")
@pytest.mark.parametrize("change", ["edit", "replace", "add", "remove"])
def test_a_change_of_any_file_is_seen_by_the_next_session(tmp_path: Path, change: str) -> None:
    home = home_with(tmp_path, me="mail.example.org\n", databytes="100\n")
    control = tmp_path / "control"
    reader = SettingsReader()
    reader.read(home, {})

    if change == "edit":
        (control / "databytes").write_text("200\n")
        os.utime(control / "databytes", (1, 1))
    elif change == "replace":
        (control / "new").write_text("200\n")
        (control / "new").rename(control / "databytes")
    elif change == "add":
        (control / "rcpthosts").write_text("example.org\n")
    else:
        (control / "databytes").unlink()

    assert said(reader.read(home, {})) == said(Settings.read(home, {}))


def test_what_has_just_changed_is_read_again_whatever_its_time_says(tmp_path: Path) -> None:
    home = home_with(tmp_path, me="mail.example.org\n")
    reader = SettingsReader()

    assert reader.read(home, {}) is not reader.read(home, {})


@pytest.mark.usefixtures("hours_later")
def test_variables_have_settings_of_their_own(tmp_path: Path) -> None:
    home = home_with(tmp_path, me="mail.example.org\n")
    reader = SettingsReader()

    sizes = [reader.read(home, {b"DATABYTES": b"%d" % size}).max_size for size in range(1, 300)]

    assert sizes == list(range(1, 300))
    assert reader.read(home, {b"SMTPAUTH": b"!"}).trust.must_authenticate
    assert not reader.read(home, {}).trust.must_authenticate


@pytest.mark.usefixtures("hours_later")
def test_an_error_is_told_each_time_until_it_is_mended(tmp_path: Path) -> None:
    home = home_with(tmp_path, me="mail.example.org\n", databytes="many\n")
    reader = SettingsReader()
    for _ in range(2):
        with pytest.raises(ControlError):
            reader.read(home, {})

    (tmp_path / "control" / "databytes").write_text("7\n")

    assert reader.read(home, {}).max_size == 7


@pytest.mark.usefixtures("hours_later")
def test_a_link_that_leads_nowhere_takes_only_the_memory_away(tmp_path: Path) -> None:
    home = home_with(tmp_path, me="mail.example.org\n")
    (tmp_path / "control" / "loose").symlink_to("nowhere")

    assert said(SettingsReader().read(home, {})) == said(Settings.read(home, {}))
