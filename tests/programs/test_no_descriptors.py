"""No descriptor left while accepting: those who are connected are served, and nothing spins."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.crowd import crowd, processor_time
from tests.support.tcpserver import TcpServer, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

LIMIT = 60  # descriptors of the server
PEERS = 100


def test_a_server_without_descriptors_waits_and_goes_on(launchers: str, tmp_path: Path) -> None:
    few = tmp_path / "few-descriptors"
    few.write_text(f'#!/bin/sh\nulimit -n {LIMIT}\nexec {launchers}/tcpserver "$@"\n')
    few.chmod(0o755)
    environ = {"PATH": f"{launchers}:/bin:/usr/bin"}
    with running(TcpServer(str(few), tmp_path, environ)) as server:
        server.start(["-RHl0", "-c", "1000", "-b", "1000"], ["addcr"])
        worker = server.worker()
        with crowd(server.port, PEERS) as peers:
            server.wait_until_logged("unable to accept for now: process cannot open more files")
            before = processor_time(worker)
            for peer in peers[:20]:
                peer.sendall(b"x\n")
                assert peer.recv(10) == b"x\r\n"
            time.sleep(2.5)  # several pauses

            used = processor_time(worker) - before
            complaints = [line for line in server.lines() if "unable to accept" in line]

        assert used < 0.5
        assert len(complaints) == 1
        assert server.ask(b"later\n") == b"later\r\n"


@pytest.mark.parametrize("chain", [["delcr"], ["cat"], ["recordio", "cat"], ["/nonexistent"]])
def test_no_connection_leaves_a_descriptor_behind(
    chain: list[str], launchers: str, tmp_path: Path
) -> None:
    environ = {"PATH": f"{launchers}:/bin:/usr/bin"}
    with running(TcpServer(f"{launchers}/tcpserver", tmp_path, environ)) as server:
        server.start(["-RHl0"], chain)
        server.ask(b"x")
        server.wait_until_logged(" end ", 1)
        folder = f"/proc/{server.worker()}/fd"
        before = len(os.listdir(folder))

        for _ in range(30):
            server.ask(b"x")
        server.wait_until_logged(" end ", 31)

        assert len(os.listdir(folder)) == before


def test_a_program_that_cannot_be_started_for_want_of_descriptors_is_told(
    launchers: str, tmp_path: Path
) -> None:
    few = tmp_path / "few-descriptors"
    few.write_text(f'#!/bin/sh\nulimit -n {LIMIT}\nexec {launchers}/tcpserver "$@"\n')
    few.chmod(0o755)
    with running(TcpServer(str(few), tmp_path)) as server:
        server.start(["-RHl0", "-c", "1000", "-b", "1000"], ["cat"])
        with crowd(server.port, PEERS) as peers:
            peers[0].sendall(b"x")
            assert peers[0].recv(10) == b"x"
        server.wait_until_logged(" end ", 10)

        assert server.ask(b"later") == b"later"
