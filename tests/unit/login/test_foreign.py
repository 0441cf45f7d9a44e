from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from pyqmail.login.foreign import run_checkpassword
from pyqmail.login.trial import Verdict
from pyqmail.protocol.checkpassword import Credentials

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

JOE = Credentials(b"joe", b"secret", b"<1@x>")
ENVIRON = {b"PATH": os.defpath.encode(), b"TCPREMOTEIP": b"192.0.2.7"}


def wait_for_text(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(script: str, folder: Path, credentials: Credentials = JOE, limit: float = 10) -> Verdict:
    """Run a shell script in the place of checkpassword, in `folder`."""
    command = [
        b"sh",
        b"-c",
        script.replace("FOLDER", str(folder)).encode(),
        b"checkpassword",
        b"a b",
    ]
    return asyncio.run(run_checkpassword(command, credentials, ENVIRON, limit))


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        ("exit 0", Verdict.ACCEPTED),
        ("exit 1", Verdict.REFUSED),
        ("exit 100", Verdict.REFUSED),
        ("exit 2", Verdict.UNDECIDED),
        ("exit 111", Verdict.UNDECIDED),
        ("kill -9 $$", Verdict.UNDECIDED),
    ],
)
def test_its_exit_code_is_the_verdict(tmp_path: Path, ending: str, verdict: Verdict) -> None:
    assert run(ending, tmp_path) is verdict


def test_it_gets_credentials_arguments_and_environment(tmp_path: Path) -> None:
    script = 'cat <&3 >FOLDER/fd3; printf "%s|" "$@" "$TCPREMOTEIP" >FOLDER/rest; cat'

    assert run(script, tmp_path) is Verdict.ACCEPTED
    assert (tmp_path / "fd3").read_bytes() == b"joe\0secret\0<1@x>\0"
    assert (tmp_path / "rest").read_bytes() == b"a b|192.0.2.7|"


def test_it_gets_no_other_descriptor_of_ours(tmp_path: Path) -> None:
    run("ls /proc/self/fd >FOLDER/open", tmp_path)

    numbers = {int(number) for number in (tmp_path / "open").read_text().split()}
    assert {0, 1, 2, 3} <= numbers <= set(range(5))  # the last is that of ls


def test_one_that_hangs_is_killed(tmp_path: Path) -> None:
    start = time.monotonic()

    assert run("echo $$ >FOLDER/pid; exec sleep 60", tmp_path, limit=0.3) is Verdict.UNDECIDED
    assert time.monotonic() - start < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_one_that_is_not_there_decides_nothing() -> None:
    verdict = asyncio.run(run_checkpassword([b"/no/such"], JOE, ENVIRON, 10))

    assert verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("password", [b"x" * 512, b"a\0b"])
def test_what_cannot_be_said_is_no_password(tmp_path: Path, password: bytes) -> None:
    assert run("exit 0", tmp_path, Credentials(b"joe", password)) is Verdict.REFUSED


def test_a_session_that_ends_takes_it_along(tmp_path: Path) -> None:
    async def session() -> None:
        command = [b"sh", b"-c", f"echo $$ >{tmp_path}/pid; exec sleep 60".encode()]
        check = asyncio.create_task(run_checkpassword(command, JOE, ENVIRON, 30))
        await asyncio.to_thread(wait_for_text, tmp_path / "pid")
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check

    asyncio.run(session())

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
