"""Acceptance when descriptors run out: nobody is promised anything, and it goes on afterwards."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest
from tests.support.queues import files_in
from tests.support.running_queue import PATIENCE, answers_at, private_home, run_queue, wait_until

from pyqmail.queue.frames import encode_frame, socket_path
from pyqmail.system.descriptors import ShortPath

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.process

GOOD = b"Fsue@x\0Tjoe@y\0\0"
LARGE = b"line of a large message\n" * 20_000
TEMPORARY = {51, 53, 54, 63, 64, 65, 66, 74, 81}


@pytest.fixture
def home() -> Iterator[str]:
    with private_home() as made:
        yield made


def with_few_descriptors(command: str, count: int) -> list[str]:
    return ["/bin/sh", "-c", f"ulimit -n {count}; exec {command}"]


@pytest.fixture
def queued(home: str, launchers: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a qmail-queued with few descriptors."""
    process = subprocess.Popen(
        with_few_descriptors(f"{launchers}/qmail-queued", 24),
        env={"QMAILHOME": home, "PATH": os.defpath},
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: answers_at(home), process)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.mark.usefixtures("queued")
def test_more_clients_than_descriptors_harm_nobody(home: str, launchers: str) -> None:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    try:
        for client in clients:
            client.settimeout(PATIENCE)
            with ShortPath(socket_path(home)) as path:
                client.connect(path)
            # Half a large message each, so that each would need a file.
            client.settimeout(0)
            client.send(encode_frame(1, b"B", LARGE[:60_000]))
    finally:
        for client in clients:
            client.close()

    codes = []
    # It has to hear first that they have hung up.
    wait_until(
        lambda: codes.append(run_queue(launchers, home, LARGE, GOOD).returncode) or 0 in codes
    )
    assert set(codes) <= {0} | TEMPORARY
    assert len(files_in(home)) == 3


def test_qmail_queue_waits_or_fails_for_now_while_there_are_no_descriptors(
    home: str, launchers: str, queued: subprocess.Popen[bytes]
) -> None:
    held = [socket.socket(socket.AF_UNIX) for _ in range(30)]
    waiting = []
    try:
        for client in held:
            client.settimeout(PATIENCE)
            with ShortPath(socket_path(home)) as path:
                client.connect(path)
            waiting.append(start_queue(launchers, home))
    finally:
        for client in held:
            client.close()
    codes = [process.wait(PATIENCE) for process in waiting]

    accepted = len(files_in(home, "todo"))
    assert set(codes) <= {0} | TEMPORARY
    assert codes.count(0) == accepted
    assert len(files_in(home)) == 3 * accepted
    assert queued.poll() is None
    assert run_queue(launchers, home, LARGE, GOOD).returncode == 0
    assert len(files_in(home)) == 3 * accepted + 3


def start_queue(launchers: str, home: str) -> subprocess.Popen[bytes]:
    """Start a qmail-queue on a message and an envelope that are complete."""
    with tempfile.TemporaryFile() as message, tempfile.TemporaryFile() as envelope:
        message.write(LARGE)
        envelope.write(GOOD)
        message.seek(0)
        envelope.seek(0)
        return subprocess.Popen(
            [f"{launchers}/qmail-queue"],
            env={"QMAILHOME": home, "PATH": os.defpath},
            stdin=message,
            stdout=envelope,
        )
