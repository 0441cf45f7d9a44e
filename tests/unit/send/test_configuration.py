from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.queue.store import Recipient
from pyqmail.send.configuration import (
    read_bounce_settings,
    read_routing,
    read_settings,
    reread_routing,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    (tmp_path / "control/me").write_text("here.example\n")
    return tmp_path


def test_without_files_the_numbers_are_the_manuals(home: Path) -> None:
    settings = read_settings(str(home))

    assert (settings.concurrency, settings.queuelifetime) == ({"local": 10, "remote": 20}, 604800)


def test_no_channel_gets_more_than_its_spawner_offers(home: Path) -> None:
    settings = read_settings(str(home)).within({"local": 3, "remote": 120})

    assert settings.concurrency == {"local": 3, "remote": 20}


@pytest.mark.parametrize("name", ["concurrencylocal", "concurrencyremote", "queuelifetime"])
def test_an_empty_number_is_the_default_and_a_cr_does_not_count(home: Path, name: str) -> None:
    (home / "control" / name).write_text("")
    default = read_settings(str(home))
    (home / "control" / name).write_text("7\r\n")
    changed = read_settings(str(home))

    assert default.queuelifetime == 604800
    assert 7 in (*changed.concurrency.values(), changed.queuelifetime)


@pytest.mark.parametrize("name", ["concurrencylocal", "concurrencyremote", "queuelifetime"])
@pytest.mark.parametrize("text", ["a week\n", "-1\n", "1_000\n", "9" * 5000, "\u0661\n"])
def test_what_is_no_number_is_named_with_file_and_line(home: Path, name: str, text: str) -> None:
    (home / "control" / name).write_text(text, encoding="utf-8")

    with pytest.raises(ControlError) as error:
        read_settings(str(home))

    assert error.value.text.startswith(b"control/%b line 1: n" % name.encode())


def test_without_me_hosts_are_called_after_their_files(tmp_path: Path) -> None:
    settings = read_bounce_settings(str(tmp_path))

    assert settings.bouncefrom == b"MAILER-DAEMON"
    assert settings.bouncehost == b"bouncehost"
    assert settings.doublebounce_address == b"postmaster@doublebouncehost"


def test_without_locals_and_me_there_is_no_routing(tmp_path: Path) -> None:
    with pytest.raises(ControlError) as error:
        read_routing(str(tmp_path))

    assert error.value.text == b"control/locals: missing, and control/me too"


def test_hup_changes_locals_and_virtualdomains_and_nothing_else(home: Path) -> None:
    present = read_routing(str(home))
    (home / "control/locals").write_text("far.example\r\n")
    (home / "control/virtualdomains").write_text("virtual.example:joe\n")
    (home / "control/percenthack").write_text("far.example\n")
    (home / "control/envnoathost").write_text("elsewhere\n")

    routing = reread_routing(str(home), present)

    assert not isinstance(routing, bytes)
    assert routing.route(b"a@far.example") == Recipient("local", b"a@far.example")
    assert routing.route(b"a@here.example").channel == "remote"
    assert routing.route(b"a@virtual.example").address == b"joe-a@virtual.example"
    assert routing.route(b"a%b@far.example").address == b"a%b@far.example"
    assert routing.route(b"a").address == b"a@here.example"


@pytest.mark.parametrize("name", ["locals", "virtualdomains"])
def test_a_file_that_cannot_be_read_at_hup_is_named(home: Path, name: str) -> None:
    present = read_routing(str(home))
    (home / "control" / name).mkdir()

    answer = reread_routing(str(home), present)

    assert isinstance(answer, bytes)
    assert answer.startswith(b"alert: unable to reread control/%b: control/" % name.encode())


def test_a_home_that_is_gone_at_hup_is_said(home: Path) -> None:
    present = read_routing(str(home))
    os.rename(home, f"{home}.gone")

    assert reread_routing(str(home), present) == (
        b"alert: unable to reread controls: unable to switch to home directory"
    )
