"""Two thousand peers that say almost nothing keep nobody waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import affordable, crowd
from tests.support.queue_stub import QueueStub
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

SLOW_PEERS = 2000
MESSAGE = b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n"


@pytest.mark.timeout(300)
def test_a_good_client_is_served_while_two_thousand_dawdle(launchers: str, tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "me").write_text("mail.example.org\n")
    stub = QueueStub(f"{tmp_path}/queue-stub", f"{tmp_path}/queued")
    environ = {"QMAILHOME": str(tmp_path), "QMAILQUEUE": stub.path}
    number = affordable(SLOW_PEERS)
    with running(TcpServer(f"{launchers}/tcpserver", tmp_path, environ)) as server:
        server.start(["-RHl0", "-c", str(number + 10), "-b", "1000"], ["qmail-smtpd"])
        with crowd(server.port, number) as peers:
            for peer in peers:
                peer.sendall(b"M")
            server.wait_until_logged(f"status: {number}/")

            start = time.monotonic()
            said = server.ask(MESSAGE)
            took = time.monotonic() - start

    assert said.split(b"\r\n")[-3].startswith(b"250 ok ")
    assert took < 2
    assert [message.endswith(b"\n\nhello\n") or message for message, _ in stub.received()]
