from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.tcpserver import read_all

from pyqmail.control.cdb import write_cdb
from pyqmail.errors import TransientFailure
from pyqmail.system.dns import DnsTrouble
from pyqmail.ucspi.child import Program, exit_status_of, wait_status
from pyqmail.ucspi.connection import Service, Treatment, hold
from pyqmail.ucspi.environment import End
from pyqmail.ucspi.log import EVERYTHING, Log
from pyqmail.ucspi.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from pyqmail.ucspi.application import Application, Environment, ServerStream

ASK_NOBODY = {"local_name": b"0", "look_up_name": False, "look_up_user": False}
DENIED, FAILED = 25600, 28416  # wait statuses of exit codes 100 and 111


class Names:
    """Knows one address, and nothing of 127.0.0.9."""

    async def names(self, address: str) -> list[bytes]:
        if address == "127.0.0.9":
            raise DnsTrouble(b"no answer")
        return [b"localhost.example"] if address == "127.0.0.1" else []

    async def addresses(self, name: bytes) -> list[str]:
        assert name == b"localhost.example"
        return ["192.0.2.1"]

    async def addresses_v4(self, name: bytes) -> list[str]:
        raise AssertionError(name)

    async def texts(self, name: bytes) -> list[bytes]:
        raise AssertionError(name)


def visit(application: Application, source: str = "127.0.0.1", **treatment: Any) -> bytes:
    """Hold a connection whose peer says `hello` and no more; return what it heard."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = (source, 0)
        peer = socket.create_connection(listener.getsockname(), 20, source_address=address)
        connection, remote = listener.accept()
    service = Service(
        Treatment(**{**ASK_NOBODY, **treatment}),
        application,
        {b"KEPT": b"yes", b"PATH": b"/bin:/usr/bin"},
        Names(),
        Log(EVERYTHING),
        itertools.count(7).__next__,
    )
    with peer:
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        asyncio.run(hold(service, connection, End.of(remote)))
        return read_all(peer)


def log(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the log, ports left out."""
    lines = capfd.readouterr().err.splitlines()
    return [
        line.rpartition(":")[0] if " ok " in line or " deny " in line else line for line in lines
    ]


async def show(environ: Environment, stream: ServerStream) -> int:
    """Say what was heard and who is there; end with 3."""
    names = (b"TCPREMOTEHOST", b"TCPLOCALHOST", b"KEPT", b"COLOUR")
    shown = b" ".join(environ.get(name, b"-") for name in names)
    await stream.write(await stream.read() + b" " + shown)
    return 3


def test_an_application_is_called_with_environment_and_stream(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert visit(show) == b"hello - 0 yes -"

    begin, decision, end = log(capfd)
    assert begin == "tcpserver: pid 7 from 127.0.0.1"
    assert decision.startswith("tcpserver: ok 7 0:127.0.0.1:")
    assert end == "tcpserver: end 7 status 768"


def test_a_crash_is_told_to_the_log_and_not_to_the_peer(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def crash(_environ: Environment, stream: ServerStream) -> int:
        await stream.write(b"220 hello\r\n")
        raise ZeroDivisionError("secret")

    assert visit(crash) == b"220 hello\r\n"

    lines = log(capfd)
    assert lines[-1] == f"tcpserver: end 7 status {FAILED}"
    assert "tcpserver: warning: connection 7: ZeroDivisionError: secret" in lines
    assert all(line.startswith("tcpserver: ") for line in lines)


def test_a_failure_is_told_to_the_log_with_its_text(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail(_environ: Environment, _stream: ServerStream) -> int:
        raise TransientFailure(b"no queue")

    assert visit(fail) == b""

    assert log(capfd)[2:] == [
        "tcpserver: warning: dropping connection, no queue",
        f"tcpserver: end 7 status {FAILED}",
    ]


def test_a_peer_that_is_gone_is_no_trouble_but_any_other_error_is_told(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def lose(_environ: Environment, _stream: ServerStream) -> int:
        raise ConnectionResetError

    async def stumble(_environ: Environment, _stream: ServerStream) -> int:
        raise FileNotFoundError(2, "No such file", "control/me")

    visit(lose)
    visit(stumble)

    told = [line for line in log(capfd) if "warning" in line]
    error = "FileNotFoundError: [Errno 2] No such file: 'control/me'"
    assert told == [f"tcpserver: warning: dropping connection, {error}"]


def test_who_is_denied_gets_no_application(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_cdb(f"{tmp_path}/cdb", parse_rules(b'127.0.0.2:deny\n:allow,COLOUR="blue"\n'))
    rules = f"{tmp_path}/cdb"

    assert visit(show, "127.0.0.2", rules=rules) == b""
    assert visit(show, rules=rules) == b"hello - 0 yes blue"

    lines = log(capfd)
    assert lines[1].startswith("tcpserver: deny 7 ")
    assert lines[2] == f"tcpserver: end 7 status {DENIED}"


@pytest.mark.parametrize(
    ("source", "treatment", "name"),
    [
        ("127.0.0.1", {}, b"localhost.example"),
        ("127.0.0.1", {"confirm_name": True}, b"-"),
        ("127.0.0.2", {}, b"-"),
        ("127.0.0.9", {}, b"-"),
    ],
)
def test_a_name_is_looked_up_and_may_have_to_be_confirmed(
    source: str, treatment: dict[str, bool], name: bytes
) -> None:
    heard = visit(show, source, look_up_name=True, **treatment)

    assert heard == b"hello " + name + b" 0 yes -"


def test_a_program_gets_the_connection(capfd: pytest.CaptureFixture[str]) -> None:
    program = Program([b"sh", b"-c", b"cat; echo; echo $KEPT $$; kill -9 $$"])

    text, kept, pid = visit(program).split()

    assert (text, kept) == (b"hello", b"yes")
    assert log(capfd)[-1] == f"tcpserver: end {pid.decode()} status 9"


def test_a_program_that_cannot_be_run_drops_the_connection(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert visit(Program([b"/nonexistent"])) == b""

    assert log(capfd)[2:] == [
        "tcpserver: warning: dropping connection, unable to run /nonexistent: file does not exist",
        f"tcpserver: end 7 status {FAILED}",
    ]


def test_a_program_is_waited_for_without_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr(os, "pidfd_open", refuse)

    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], {})

    assert asyncio.run(exit_status_of(pid)) == 7


@pytest.mark.parametrize(("status", "waited"), [(0, 0), (100, 25600), (111, 28416), (-9, 9)])
def test_an_exit_status_is_logged_as_a_wait_status(status: int, waited: int) -> None:
    assert wait_status(status) == waited
