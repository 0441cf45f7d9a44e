"""config and config-fast."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.children import NOBODY
from tests.support.places import ordinary_place

from pyqmail.errors import TransientFailure
from pyqmail.programs import config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Commands


@pytest.fixture
def control(commands: Commands) -> Path:
    folder = commands.top / "control"
    folder.mkdir()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.process
def test_config_fast_says_what_the_original_says(commands: Commands, control: Path) -> None:
    done = commands.run("config-fast", "mail.my.domain")

    assert control.exists()
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == (
        "Your fully qualified host name is mail.my.domain.\n"
        "Putting mail.my.domain into control/me...\n"
        "Putting my.domain into control/defaultdomain...\n"
        "Putting my.domain into control/plusdomain...\n"
        "Putting mail.my.domain into control/locals...\n"
        "Putting mail.my.domain into control/rcpthosts...\n"
        "Now qmail will refuse to accept SMTP messages except to mail.my.domain.\n"
        "Make sure to change rcpthosts if you add hosts to locals or virtualdomains!\n"
    )


@pytest.mark.process
def test_config_fast_overwrites_three_files_and_adds_to_two(
    commands: Commands, control: Path
) -> None:
    for name in ("me", "defaultdomain", "plusdomain", "locals", "rcpthosts"):
        (control / name).write_text("old.example\n")

    for _ in range(2):
        assert commands.run("config-fast", "my.domain").returncode == 0

    assert contents(control) == {
        "me": b"my.domain\n",
        "defaultdomain": b"my.domain\n",
        "plusdomain": b"my.domain\n",
        "locals": b"old.example\nmy.domain\n",
        "rcpthosts": b"old.example\nmy.domain\n",
    }
    assert {path.stat().st_mode & 0o7777 for path in control.iterdir()} == {0o644}


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], b"usage: config-fast the.full.name.of.this.host"),
        (["a", "b"], b"usage: config-fast the.full.name.of.this.host"),
        ([""], b"not a host name: "),
        (["mail.example.org."], b"not a host name: mail.example.org."),
    ],
)
def test_config_fast_takes_one_host(
    commands: Commands, control: Path, arguments: list[str], text: bytes
) -> None:
    done = commands.run("config-fast", *arguments)

    assert (done.returncode, done.stderr) == (100, b"config-fast: fatal: " + text + b"\n")
    assert contents(control) == {}


@pytest.mark.process
def test_a_home_without_control_is_told_of(commands: Commands) -> None:
    done = commands.run("config-fast", "my.domain")

    place = f"{commands.top}/control/me".encode()
    assert (done.returncode, done.stderr) == (
        111,
        b"config-fast: fatal: unable to write " + place + b": file does not exist\n",
    )


@pytest.mark.process
@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, who becomes the owner of a home")
def test_root_writes_as_the_owner_of_a_private_home(commands: Commands) -> None:
    with ordinary_place() as home:
        (home / "control").mkdir()
        os.chown(home / "control", NOBODY, NOBODY)

        done = commands.run("config-fast", "my.domain", environ={"QMAILHOME": str(home)})

        assert done.returncode == 0, done.stderr
        assert {path.stat().st_uid for path in (home / "control").iterdir()} == {NOBODY}


# config asks the resolver: here, a resolver that we are.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    return tmp_path


def resolve(
    monkeypatch: pytest.MonkeyPatch,
    addresses: dict[str, list[str]],
    hosts: dict[str, str],
    own: tuple[str, ...] = (),
) -> None:
    monkeypatch.setattr(config.names, "host_name", lambda: "mail")
    monkeypatch.setattr(config.names, "addresses_of", lambda name: addresses.get(name, []))
    monkeypatch.setattr(config.names, "name_of", hosts.get)
    monkeypatch.setattr(config.names, "own_addresses", lambda: list(own))
    monkeypatch.setattr(config, "leave_root", lambda _home: None)


def configure(home: Path) -> int:
    return config.configure([], {b"QMAILHOME": os.fsencode(home)})


def test_config_takes_the_name_that_the_address_leads_back_to(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = {"192.0.2.1": "mail.my.domain", "192.0.2.2": "www.my.domain", "127.0.0.1": "localhost"}
    addresses = {"mail": ["192.0.2.1"], "mail.my.domain": ["192.0.2.1", "192.0.2.2"]}
    resolve(monkeypatch, addresses, hosts, own=("192.0.2.1", "127.0.0.1", "10.0.0.1"))
    (home / "control" / "locals").write_text("old.example\n")

    assert configure(home) == 0

    assert capsys.readouterr().out == (
        "Your hostname is mail.\n"
        "Your host's fully qualified name in DNS is mail.my.domain.\n"
        "Putting mail.my.domain into control/me...\n"
        "Putting my.domain into control/defaultdomain...\n"
        "Putting my.domain into control/plusdomain...\n"
        " \n"
        "Checking local IP addresses:\n"
        "10.0.0.1: PTR lookup failed. I assume this address has no DNS name.\n"
        "127.0.0.1: Adding localhost to control/locals...\n"
        "192.0.2.1: Adding mail.my.domain to control/locals...\n"
        "192.0.2.2: Adding www.my.domain to control/locals...\n"
        " \n"
        "If there are any other domain names that point to you,\n"
        f"you will have to add them to {home}/control/locals.\n"
        "You don't have to worry about aliases, i.e., domains with CNAME records.\n"
        " \n"
        f"Copying {home}/control/locals to {home}/control/rcpthosts...\n"
        "Now qmail will refuse to accept SMTP messages except to those hosts.\n"
        "Make sure to change rcpthosts if you add hosts to locals or virtualdomains!\n"
    )
    hosts_of_files = b"localhost\nmail.my.domain\nwww.my.domain\n"
    assert contents(home / "control") == {
        "me": b"mail.my.domain\n",
        "defaultdomain": b"my.domain\n",
        "plusdomain": b"my.domain\n",
        "locals": hosts_of_files,
        "rcpthosts": hosts_of_files,
    }


@pytest.mark.parametrize(
    ("addresses", "hosts", "reason"),
    [
        ({}, {}, r"it has no address"),
        ({"mail": ["192.0.2.1"]}, {}, r"192\.0\.2\.1 leads to no name"),
        ({"mail": ["127.0.0.1"]}, {"127.0.0.1": "localhost"}, r"127\.0\.0\.1 leads to localhost"),
    ],
)
def test_config_without_a_full_name_writes_nothing_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    addresses: dict[str, list[str]],
    hosts: dict[str, str],
    reason: str,
) -> None:
    resolve(monkeypatch, addresses, hosts)

    with pytest.raises(TransientFailure, match=rf"\({reason}\): run config-fast THE.FULL.NAME"):
        configure(home)

    assert contents(home / "control") == {}
