"""The recorded SMTP sessions once more: as applications in one process of our tcpserver.

The environment of each case comes from the rules, which may set any variable.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.differential.replay import vector as one_vector
from tests.differential.replay.difference import difference
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.differential.replay.homes import ScratchHome

pytestmark = pytest.mark.process

PROGRAM = "qmail-smtpd"
SET_BY_TCPSERVER = ("TCPLOCALHOST", "TCPLOCALIP", "TCPREMOTEIP")  # no rule takes them away
QUOTES = b"\"'|!^~#"


class Service:
    """One tcpserver for all cases, with rules that each replaces."""

    def __init__(self, bin_folder: str, folder: Path) -> None:
        self.server = TcpServer(f"{bin_folder}/tcpserver", folder)
        self._tcprules = f"{bin_folder}/tcprules"
        self._rules = f"{folder}/rules.cdb"
        self._sessions = 0

    def start(self) -> None:
        self.server.start(["-RHl0", "-x", self._rules], [PROGRAM])

    def execute(
        self, vector: Mapping[str, Any], _scratch: ScratchHome, environ: Mapping[bytes, bytes]
    ) -> tuple[int, bytes, bytes]:
        """Hold the session of a vector; return exit status and what was said."""
        rule = b":allow" + b"".join(b"," + quoted(*item) for item in environ.items())
        argv = [self._tcprules, self._rules, f"{self._rules}.tmp"]
        subprocess.run(argv, input=rule + b"\n", check=True)
        said = self.server.ask(vector["stdin"].encode("latin-1"))
        self._sessions += 1
        lines = self.server.wait_for(" end ", self._sessions)
        (*_, ending) = (line for line in lines if " end " in line)
        return int(ending.split()[-1]) >> 8, said, b""


def quoted(name: bytes, value: bytes) -> bytes:
    quote = next(bytes([byte]) for byte in QUOTES if byte not in value)
    return name + b"=" + quote + value + quote


@pytest.fixture(scope="module")
def service(bin_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(bin_folder, tmp_path_factory.mktemp("tcpserver"))
    with running(made.server):
        made.start()
        yield made


def why_not(vector: Mapping[str, Any]) -> str | None:
    absent = [name for name in SET_BY_TCPSERVER if name not in (vector.get("env") or {})]
    return f"tcpserver always sets {' '.join(absent)}" if absent else None


@pytest.mark.xdist_group("sessions under tcpserver")
def test_a_session_is_the_same_as_a_process_and_as_an_application(
    smtp_session: Mapping[str, Any], bin_folder: str, service: Service
) -> None:
    if reason := why_not(smtp_session):
        pytest.skip(reason)

    outcome = one_vector.run(smtp_session, bin_folder, service.execute)

    lines = difference(smtp_session, outcome)
    assert not lines, "\n".join([smtp_session["about"], *lines])
