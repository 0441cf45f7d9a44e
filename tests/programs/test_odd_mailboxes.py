"""qmail-local writes to whatever a user calls a mailbox: a link, a FIFO, a device, a full disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.commands import MESSAGE

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.commands import Commands

pytestmark = pytest.mark.process


@pytest.fixture
def home(commands: Commands) -> Path:
    path = commands.top / "home"
    path.mkdir(mode=0o755)
    return path


def deliver(commands: Commands, mailbox: str) -> subprocess.CompletedProcess[bytes]:
    home = f"{commands.top}/home"
    arguments = ("joe", home, "joe", "", "", "example.org", "s@x", mailbox)
    return commands.run("qmail-local", *arguments)


def test_a_link_leads_to_the_mbox(commands: Commands, home: Path) -> None:
    (home / "elsewhere").write_bytes(b"")
    (home / "Mailbox").symlink_to("elsewhere")

    done = deliver(commands, "./Mailbox")

    assert done.stdout == b"did 1+0+0\n"
    assert (home / "elsewhere").read_bytes().endswith(MESSAGE + b"\n")
    assert (home / "Mailbox").is_symlink()


def test_a_link_leads_to_the_maildir(commands: Commands, home: Path) -> None:
    for name in ("", "/tmp", "/new", "/cur"):
        os.mkdir(f"{home}/elsewhere{name}")
    (home / "Maildir").symlink_to("elsewhere")

    done = deliver(commands, "./Maildir/")

    assert done.stdout == b"did 1+0+0\n"
    assert len(os.listdir(home / "elsewhere/new")) == 1


def test_a_link_to_nothing_makes_the_mbox_there(commands: Commands, home: Path) -> None:
    (home / "Mailbox").symlink_to("elsewhere")

    deliver(commands, "./Mailbox")

    assert (home / "elsewhere").read_bytes().endswith(MESSAGE + b"\n")


@pytest.mark.usefixtures("home")
def test_a_full_device_delays_the_message(commands: Commands) -> None:
    done = deliver(commands, "/dev/full")

    text = b"Unable to write /dev/full: out of disk space. (#4.3.0)\n"
    assert (done.returncode, done.stderr) == (111, text)


def test_a_fifo_that_nobody_reads_delays_the_message_and_does_not_hang(
    commands: Commands, home: Path
) -> None:
    os.mkfifo(home / "fifo")

    done = deliver(commands, "./fifo")

    text = b"Unable to open ./fifo: device not configured. (#4.2.1)\n"
    assert (done.returncode, done.stderr) == (111, text)


@pytest.mark.parametrize("name", ["tmp", "new"])
def test_a_fifo_in_the_place_of_a_folder_delays_the_message_and_does_not_hang(
    commands: Commands, home: Path, name: str
) -> None:
    for folder in ("tmp", "new", "cur"):
        (home / "Maildir" / folder).mkdir(parents=True)
    (home / "Maildir" / name).rmdir()
    os.mkfifo(home / "Maildir" / name)

    done = deliver(commands, "./Maildir/")

    text = b"Temporary error on maildir delivery. (#4.3.0)\n"
    assert (done.returncode, done.stderr) == (111, text)


@pytest.mark.usefixtures("home")
def test_what_cannot_be_synced_is_no_mailbox(commands: Commands) -> None:
    done = deliver(commands, "/dev/null")

    text = b"Unable to write /dev/null: invalid argument. (#4.3.0)\n"
    assert (done.returncode, done.stderr) == (111, text)
