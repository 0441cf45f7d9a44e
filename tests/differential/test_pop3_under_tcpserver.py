"""The recorded POP3 sessions once more: qmail-popup and qmail-pop3d under our tcpserver.

Those of qmail-popup have somebody else's program in the place of checkpassword. Those of
qmail-pop3d begin behind a login with our own, so that the session is held by a
child of the porter.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crypt_r
import pytest
from tests.differential.conftest import vectors
from tests.differential.deviations import POP3_EXTENSIONS
from tests.differential.replay import vector as one_vector
from tests.differential.replay.difference import difference
from tests.support.tcpserver import TcpServer, running

from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import write_cdb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.differential.replay.homes import ScratchHome

pytestmark = pytest.mark.process

HOST = "mail.example.org"
HASH = crypt_r.crypt("secret", crypt_r.METHOD_MD5)  # quick
LOGIN = b"USER joe\r\nPASS secret\r\n"
FAILED = b"-ERR authorization failed\r\n"
NOBODY = 65534


def ask(
    scratch: ScratchHome, environ: Mapping[bytes, bytes], chain: Sequence[str], said: bytes
) -> tuple[int, bytes, bytes]:
    """Hold one session; return exit status, what was said and the log of qmail-popup."""
    variables = {os.fsdecode(name): os.fsdecode(value) for name, value in environ.items()}
    with tempfile.TemporaryDirectory() as folder:
        server = TcpServer(f"{scratch.bin}/tcpserver", Path(folder), variables, work=scratch.work)
        with running(server):
            server.start(["-RHl0"], ["qmail-popup", *chain])
            answer = server.ask(said)
            (line,) = (line for line in server.wait_until_logged(" end ") if " end " in line)
            log = [each for each in server.lines() if not each.startswith("tcpserver: ")]
    return int(line.split()[-1]) >> 8, answer, "\n".join(log).encode()


def ask_popup(
    vector: Mapping[str, Any], scratch: ScratchHome, environ: Mapping[bytes, bytes]
) -> tuple[int, bytes, bytes]:
    return ask(scratch, environ, vector["argv"], vector["stdin"].encode("latin-1"))


def ask_pop3d(
    vector: Mapping[str, Any], scratch: ScratchHome, environ: Mapping[bytes, bytes]
) -> tuple[int, bytes, bytes]:
    """The exit status is that of the session: qmail-popup tells by its last words of another."""
    uid, gid = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
    assign = f"=joe:joe:{uid}:{gid}:{scratch.work}:::\n.\n".encode()
    write_cdb(f"{scratch.home}/users/cdb", parse_assign(assign))
    Path(scratch.home, "users/passwd").write_text(f"joe:{HASH}\n", encoding="ascii")
    Path(scratch.home, "control/checkpassword").write_text("users\n", encoding="ascii")
    Path(scratch.home, "control/locals").write_text("", encoding="ascii")
    os.mkdir(f"{scratch.home}/run")
    chain = [HOST, "checkpassword", "qmail-pop3d", *vector["argv"]]
    code, answer, log = ask(scratch, environ, chain, LOGIN + vector["stdin"].encode("latin-1"))
    assert code == 1
    for name in ("users/cdb", "users/passwd", "control/checkpassword", "control/locals"):
        os.unlink(f"{scratch.home}/{name}")  # they are not of the case
    _greeting, _user, *said = answer.split(b"\r\n", 2)
    out = b"".join(said)
    return int(out.endswith(FAILED)), out.removesuffix(FAILED), log


def why_not(vector: Mapping[str, Any]) -> str | None:
    if vector["program"] == "qmail-popup" and len(vector["argv"]) <= 1:
        return "tcpserver does not start with a wrong command line"
    if vector.get("root"):
        return "nobody can log in as root"
    return None


@pytest.mark.usefixtures("_accounts_if_root")
@pytest.mark.parametrize("name", POP3_EXTENSIONS)
def test_without_extensions_there_is_no_difference(name: str, bin_folder: str) -> None:
    (recorded,) = (each for each in vectors(scenarios=False) if each["id"] == name)
    recorded["env"] = {**recorded.get("env", {}), "POP3EXTENSIONS": "0"}
    execute = ask_popup if recorded["program"] == "qmail-popup" else ask_pop3d

    outcome = one_vector.run(recorded, bin_folder, execute)

    assert not difference(recorded, outcome)


@pytest.mark.usefixtures("_accounts_if_root")
def test_a_session_is_the_same_as_a_process_and_under_tcpserver(
    pop3_session: Mapping[str, Any], bin_folder: str
) -> None:
    if reason := why_not(pop3_session):
        pytest.skip(reason)
    execute = ask_popup if pop3_session["program"] == "qmail-popup" else ask_pop3d

    outcome = one_vector.run(pop3_session, bin_folder, execute)

    lines = difference(pop3_session, outcome)
    assert not lines, "\n".join([pop3_session["about"], *lines])
