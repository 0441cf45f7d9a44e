"""The command qmail-remote, with a DNS that the test plays."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.differential.replay.strangers import ScriptedServer
from tests.support.dns_stub import SERVER_FAILURE, Table, dns_server
from tests.support.queues import make_home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

TABLE: Table = {
    ("relay.example.", "A"): ["127.0.0.2"],
    ("null.example.", "MX"): ["0 ."],
    ("broken.example.", "MX"): [SERVER_FAILURE],
    ("ours.example.", "MX"): ["10 mx.ours.example."],
    ("mx.ours.example.", "A"): ["127.0.0.1"],
}
REPLIES = {
    "HELO": "250 far\r\n",
    "MAIL": "250 ok\r\n",
    "RCPT": "250 ok\r\n",
    "DATA": "354 go\r\n",
    ".": "250 ok\r\n",
    "QUIT": "221 bye\r\n",
}


class Place:
    def __init__(self, home: str, launchers: str, dns: int) -> None:
        self.home = home
        self._program = f"{launchers}/qmail-remote"
        os.makedirs(f"{home}/control", exist_ok=True)
        self.set("me", "me.example")
        self.set("resolver", f"127.0.0.1:{dns}")

    def set(self, name: str, text: str) -> None:
        with open(f"{self.home}/control/{name}", "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def run(self, *arguments: str, **environ: str) -> bytes:
        ended = subprocess.run(
            [self._program, *arguments],
            input=b"hello\n",
            env={"PATH": os.defpath, "QMAILHOME": self.home, **environ},
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, b"")
        return ended.stdout


@pytest.fixture(scope="module")
def dns() -> Iterator[int]:
    with dns_server(TABLE, "127.0.0.1", 0) as (port, _):
        yield port


@pytest.fixture
def place(tmp_path: Path, launchers: str, dns: int) -> Place:
    return Place(make_home(str(tmp_path)), launchers, dns)


def test_the_relay_of_a_route_is_found_in_the_dns(place: Place) -> None:
    server = ScriptedServer({"greet": "220 far\r\n", "replies": REPLIES}, "127.0.0.2")
    place.set("smtproutes", f":relay.example:{server.port}")

    said = place.run("far.example", "s@x.example", "a@far.example")

    server.stop()
    assert said == b"r\0K127.0.0.2 accepted message.\nRemote host said: 250 ok\n\0"
    assert server.seen[-1] == "hello\r\n.\r\n"


@pytest.mark.parametrize(
    ("host", "report"),
    [
        ("gone.example", b"DSorry, I couldn't find any host named gone.example. (#5.1.2)\n"),
        ("null.example", b"DSorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n"),
        ("broken.example", b"ZSorry, I couldn't find any host by that name. (#4.1.2)\n"),
        ("x" * 64, b"DSorry, I couldn't find any host named " + b"x" * 64 + b". (#5.1.2)\n"),
    ],
)
def test_what_the_dns_does_not_know_is_reported(place: Place, host: str, report: bytes) -> None:
    assert place.run(host, "", f"a@{host}") == report + b"\0"


def test_mail_that_would_come_back_is_refused(place: Place) -> None:
    assert place.run("ours.example", "", "a@ours.example").startswith(b"DSorry. Although I'm")


def test_a_dns_that_is_not_there_delays_the_mail(place: Place) -> None:
    place.set("resolver", "127.0.0.2:1")

    said = place.run("far.example", "", "a@far.example")

    assert said == b"ZSorry, I couldn't find any host by that name. (#4.1.2)\n\0"


@pytest.mark.parametrize("arguments", [(), ("far.example",), ("far.example", "s@x.example")])
def test_without_a_recipient_it_was_invoked_improperly(
    place: Place, arguments: tuple[str, ...]
) -> None:
    assert place.run(*arguments) == b"DI (qmail-remote) was invoked improperly. (#5.3.5)\n\0"


def test_without_a_home_the_mail_waits(place: Place) -> None:
    said = place.run("far.example", "", "a@far.example", QMAILHOME="/nowhere")

    assert said == b"ZUnable to switch to home directory. (#4.3.0)\n\0"
