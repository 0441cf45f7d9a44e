"""The recorded sessions once more: as applications in one process of our tcpserver.

The environment of each case comes from the rules, which may set any variable.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.differential.replay import vector as one_vector
from tests.differential.replay.difference import difference
from tests.differential.replay.words import filled_bytes
from tests.support.tcpserver import TcpServer, running

from pyqmail.control.cdb import write_cdb
from pyqmail.ucspi.rules import parse_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.differential.replay.homes import ScratchHome

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("sessions under tcpserver")]

PROGRAMS = ("qmail-smtpd", "qmail-qmtpd", "qmail-qmqpd")
SET_BY_TCPSERVER = ("TCPLOCALHOST", "TCPLOCALIP", "TCPREMOTEIP")  # no rule takes them away
LOOKS_AT = {"rblsmtpd": ("TCPREMOTEIP",)}  # of these; the other filters look at none
# Cases of filters that are another thing where the filter is no process.
OTHERS = {
    "recordio-007": "the program may end before recordio has seen the end of the input",
    "rblsmtpd-020": "it is tcpserver that cannot run the program, and says so",
}
QUOTES = b"\"'|!^~#"
WRONG_USAGE = 100


class Service:
    """One tcpserver, with rules that each case replaces."""

    def __init__(self, bin_folder: str, folder: Path, work: str | None = None) -> None:
        self.server = TcpServer(f"{bin_folder}/tcpserver", folder, work=work)
        self._rules = f"{folder}/rules.cdb"
        self._sessions = 0

    def start(self, chain: Sequence[str]) -> None:
        self.server.start(["-RHl0", "-x", self._rules], chain)

    def execute(
        self, vector: Mapping[str, Any], _scratch: ScratchHome, environ: Mapping[bytes, bytes]
    ) -> tuple[int, bytes, bytes]:
        """Hold the session of a vector; return exit status and what was said."""
        rule = b":allow" + b"".join(b"," + quoted(*item) for item in environ.items())
        write_cdb(self._rules, parse_rules(rule + b"\n"))
        said = self.server.ask(vector.get("stdin", "").encode("latin-1"))
        self._sessions += 1
        lines = self.server.wait_until_logged(r"^tcpserver: end ", self._sessions)
        (*_, ending) = (line for line in lines if line.startswith("tcpserver: end "))
        return int(ending.split()[-1]) >> 8, said, b""

    def log_of_the_program(self) -> bytes:
        """Return what is in the log beside tcpserver's own lines."""
        lines = [line for line in self.server.lines() if not line.startswith("tcpserver: ")]
        return "".join(line + "\n" for line in lines).encode("latin-1")


def quoted(name: bytes, value: bytes) -> bytes:
    quote = next(bytes([byte]) for byte in QUOTES if byte not in value)
    return name + b"=" + quote + value + quote


@pytest.fixture(scope="module")
def services(
    bin_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Service]]:
    made = {name: Service(bin_folder, tmp_path_factory.mktemp(name)) for name in PROGRAMS}
    smtp, qmtp, qmqp = made.values()
    with running(smtp.server), running(qmtp.server), running(qmqp.server):
        for name, service in made.items():
            service.start([name])
        yield made


def why_not(vector: Mapping[str, Any], looks_at: Sequence[str]) -> str | None:
    absent = [name for name in looks_at if name not in (vector.get("env") or {})]
    return f"tcpserver always sets {' '.join(absent)}" if absent else None


def test_a_session_is_the_same_as_a_process_and_as_an_application(
    session: Mapping[str, Any], bin_folder: str, services: Mapping[str, Service]
) -> None:
    if reason := why_not(session, SET_BY_TCPSERVER):
        pytest.skip(reason)

    outcome = one_vector.run(session, bin_folder, services[session["program"]].execute)

    lines = difference(session, outcome)
    assert not lines, "\n".join([session["about"], *lines])


def test_what_stands_before_a_server_does_the_same_in_its_process(
    filtered_session: Mapping[str, Any], bin_folder: str, tmp_path: Path
) -> None:
    vector = filtered_session
    if vector["id"] in OTHERS:
        pytest.skip(OTHERS[vector["id"]])
    if reason := why_not(vector, LOOKS_AT.get(vector["program"], ())):
        pytest.skip(reason)

    def execute(
        vector: Mapping[str, Any], scratch: ScratchHome, environ: Mapping[bytes, bytes]
    ) -> tuple[int, bytes, bytes]:
        argv = [filled_bytes(word, scratch.words()).decode() for word in vector["argv"]]
        if vector["expect"]["exit"] == WRONG_USAGE:
            return refused(bin_folder, [vector["program"], *argv])
        service = Service(bin_folder, tmp_path, work=scratch.work)
        with running(service.server):
            service.start([vector["program"], *argv])
            code, said, _ = service.execute(vector, scratch, environ)
            return code, said, service.log_of_the_program()

    outcome = one_vector.run(vector, bin_folder, execute)

    lines = difference(vector, outcome)
    assert not lines, "\n".join([vector["about"], *lines])


def refused(bin_folder: str, chain: Sequence[str]) -> tuple[int, bytes, bytes]:
    """Start a tcpserver whose program is used wrongly; return how it ends, and what it says."""
    argv = [f"{bin_folder}/tcpserver", "-RHl0", "127.0.0.1", "0", *chain]
    environ = {"PATH": f"{bin_folder}:/usr/bin:/bin"}
    done = subprocess.run(argv, env=environ, capture_output=True, check=False, timeout=20)
    # What a program says about its usage stands behind the name of who has started it.
    return done.returncode, done.stdout, re.sub(rb"(?m)^tcpserver: fatal: ", b"", done.stderr)
