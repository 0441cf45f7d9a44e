"""Ten thousand idle connections cost little, and none of them is lost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import affordable, crowd, resident
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

CONNECTIONS = 10_000
MOST_MEMORY = 20_000  # bytes of the server's own for each connection, without a session on it


@pytest.mark.timeout(300)
def test_ten_thousand_are_held_and_all_are_answered(launchers: str, tmp_path: Path) -> None:
    number = affordable(CONNECTIONS)
    with running(TcpServer(f"{launchers}/tcpserver", tmp_path)) as server:
        server.start(["-RHl0", "-c", str(number + 1), "-b", "1000"], ["addcr"])
        assert server.ask(b"x\n") == b"x\r\n"
        worker = server.worker()
        before = resident(worker)
        with crowd(server.port, number) as peers:
            server.wait_until_logged(f"status: {number}/")
            each = (resident(worker) - before) / number
            assert server.ask(b"y\n") == b"y\r\n"

            for peer in peers:
                peer.sendall(b"z\n")
            answers = {peer.recv(10) for peer in peers}

    sys.stdout.write(f"{number} idle connections: {each:.0f} bytes each\n")
    assert answers == {b"z\r\n"}
    assert each < MOST_MEMORY
