"""A private home with an empty queue, and qmail-queued running in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.roles import Roles
from pyqmail.queue import layout
from pyqmail.queue.frames import socket_path
from pyqmail.system.accounts import Account
from pyqmail.system.descriptors import ShortPath

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534

PATIENCE = 20  # seconds for what takes milliseconds


@contextmanager
def private_home() -> Iterator[str]:
    """Make a home that belongs to an ordinary user: to us, or to nobody if we are root."""
    with tempfile.TemporaryDirectory(prefix="home.") as top:
        home = f"{top}/home"
        uid = os.getuid() or NOBODY
        os.makedirs(f"{home}/run")
        os.chmod(top, 0o755)
        if os.getuid() == 0:
            os.chown(home, uid, uid)
            os.chown(f"{home}/run", uid, uid)
        layout.make_queue(home, Roles(home, Account("owner", uid, uid, home)))
        yield home


@contextmanager
def queued(home: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run qmail-queued with the launchers in `folder`."""
    process = start_queued(home, folder)
    try:
        wait_until(lambda: answers_at(home), process)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def answers_at(home: str) -> bool:
    """Ask whether somebody listens on the socket."""
    with socket.socket(socket.AF_UNIX) as connection, ShortPath(socket_path(home)) as path:
        return connection.connect_ex(path) == 0


def start_queued(home: str, folder: str) -> subprocess.Popen[bytes]:
    environ = {"QMAILHOME": home, "PATH": os.defpath}
    return subprocess.Popen([f"{folder}/qmail-queued"], env=environ, stderr=subprocess.PIPE)


def wait_until(condition: object, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when `condition()` holds; fail the test if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process is not None and process.poll() is not None:
            pytest.fail(f"qmail-queued ended with {process.returncode}")
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def run_queue(
    folder: str, home: str, message: bytes, envelope: bytes, **options: object
) -> subprocess.CompletedProcess[bytes]:
    """Run the command qmail-queue."""
    reader, writer = os.pipe()
    try:
        os.write(writer, envelope)
        os.close(writer)
        return subprocess.run(
            [f"{folder}/qmail-queue"],
            env={"QMAILHOME": home, "PATH": os.defpath},
            input=message,
            stdout=reader,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
            **options,
        )
    finally:
        os.close(reader)
