"""Two thousand clients that say almost nothing keep nobody from his mail, and cost little."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import affordable, crowd, resident
from tests.support.pop3 import PopServer, login_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("pop3 under tcpserver")]

SLOW_PEERS = 2000
MOST_MEMORY = 50_000  # bytes of the front's own for each


@pytest.fixture(scope="module")
def server(launchers: str) -> Iterator[PopServer]:
    options = ("-c", str(SLOW_PEERS + 50), "-b", "1000")
    with PopServer(launchers, options=options) as server:
        yield server


@pytest.mark.timeout(300)
def test_a_user_is_served_while_two_thousand_dawdle(server: PopServer) -> None:
    server.deliver("1.a.host", b"x\n")
    number = affordable(SLOW_PEERS)
    server.ask(login_commands())
    before = sum(map(resident, server.tcpserver.processes()))
    with crowd(server.port, number) as peers:
        for peer in peers:
            peer.sendall(b"U")
        server.tcpserver.wait_until_logged(f"status: {number}/")
        each = (sum(map(resident, server.tcpserver.processes())) - before) / number

        start = time.monotonic()
        said = server.ask(login_commands() + b"RETR 1\r\nQUIT\r\n")
        took = time.monotonic() - start

    sys.stdout.write(f"{number} clients that dawdle: {each:.0f} bytes each\n")
    assert said.endswith(b"+OK \r\nx\r\n\r\n.\r\n+OK \r\n")
    assert took < 5
    assert each < MOST_MEMORY
