"""The client of QMQP. Its port is 628, so the whole of it runs only as root; see qmtp.jsonl."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from tests.support.queue_stub import QueueStub

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("servers")]

GOOD = b"Fsue@x\0Tjoe@y\0\0"


def run(
    launchers: str, home: Path, servers: str | None, envelope: bytes = GOOD, *, close: bool = True
) -> int:
    """Return the exit code of qmail-qmqpc; the envelope's pipe stays open if not `close`."""
    (home / "control").mkdir(exist_ok=True)
    if servers is not None:
        (home / "control" / "qmqpservers").write_text(servers)
    reading, writing = os.pipe()
    os.write(writing, envelope)
    if close:
        os.close(writing)
    try:
        return subprocess.run(
            [f"{launchers}/qmail-qmqpc"],
            input=b"hello\n",
            stdout=reading,
            env={"PATH": os.defpath, "QMAILHOME": str(home)},
            timeout=30,
            check=False,
        ).returncode
    finally:
        os.close(reading)
        if not close:
            os.close(writing)


def test_without_a_home_nothing_is_sent(launchers: str, tmp_path: Path) -> None:
    code = subprocess.run(
        [f"{launchers}/qmail-qmqpc"],
        input=b"",
        env={"QMAILHOME": f"{tmp_path}/absent"},
        check=False,
    ).returncode

    assert code == 61


@pytest.mark.parametrize("servers", [None, "", "# 127.0.0.1\n", "host.example.net\n"])
def test_without_a_server_nothing_is_sent(
    launchers: str, tmp_path: Path, servers: str | None
) -> None:
    assert run(launchers, tmp_path, servers) == 55


def test_servers_that_do_not_listen_are_told_apart_from_none(
    launchers: str, tmp_path: Path
) -> None:
    assert run(launchers, tmp_path, "127.0.0.77\n::1\n") == 73


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: the port is below 1024")
def test_the_first_server_that_is_there_gets_the_message(launchers: str, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            while not seen or not b"".join(seen).endswith(b",,"):
                seen.append(connection.recv(1000))
            connection.sendall(b"3:Zno,")

    with socket.create_server(("::1", 628), family=socket.AF_INET6) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        code = run(launchers, tmp_path, "127.0.0.77\n::1\n127.0.0.1\n", close=False)
        thread.join(10)

    assert code == 71
    assert b"".join(seen) == b"25:6:hello\n,5:sue@x,5:joe@y,,"


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: the port is below 1024")
def test_our_client_and_our_server_understand_each_other(launchers: str, tmp_path: Path) -> None:
    queue = QueueStub(f"{tmp_path}/qmail-queue", f"{tmp_path}/queued")
    environ = {"PATH": os.defpath, "QMAILHOME": str(tmp_path), "QMAILQUEUE": queue.path}

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            subprocess.run(
                [f"{launchers}/qmail-qmqpd"],
                stdin=connection,
                stdout=connection,
                env=environ,
                check=True,
            )

    with socket.create_server(("127.0.0.1", 628)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        code = run(launchers, tmp_path, "127.0.0.1\n")
        thread.join(10)

    ((message, envelope),) = queue.received()
    assert code == 0
    assert message.endswith(b"\nhello\n")
    assert envelope == GOOD
