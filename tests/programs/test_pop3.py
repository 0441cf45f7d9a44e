"""qmail-popup, checkpassword and qmail-pop3d, as tcpserver starts them, with a real client."""

from __future__ import annotations

import os
import poplib
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.support.logins import LoginHome
from tests.support.places import ordinary_place

from pyqmail.login.hashing import hash_password
from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.process,
    # The session of root's own mail is refused: an ordinary user checks his own password then.
    pytest.mark.root,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root: the session becomes another user"),
]

OLD = 1000000000


class Server:
    """Accepts connections one after the other, and runs the chain on each."""

    def __init__(self, launchers: str, folder: Path) -> None:
        self.home = LoginHome(folder)
        self.home.users("joe:" + hash_password(b"secret").decode())
        self.maildir = self.home.joe / "Maildir"
        make_maildir(str(self.maildir))
        for path in (self.home.joe, self.maildir, *self.maildir.iterdir()):
            os.chown(path, self.home.uid, self.home.gid)
        self._chain = [
            f"{launchers}/qmail-popup",
            "mail.example.org",
            f"{launchers}/checkpassword",
            f"{launchers}/qmail-pop3d",
            "Maildir",
        ]
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                subprocess.run(
                    self._chain,
                    stdin=connection,
                    stdout=connection,
                    stderr=subprocess.DEVNULL,
                    env={"PATH": os.defpath, "QMAILHOME": self.home.path},
                    check=False,
                )

    def deliver(self, name: str, message: bytes) -> None:
        """Put a message into new/."""
        path = self.maildir / "new" / name
        path.write_bytes(message)
        os.chown(path, self.home.uid, self.home.gid)
        os.utime(path, (OLD, OLD))

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def files(self) -> list[str]:
        """Return what lies in the Maildir when the session is over."""
        deadline = time.monotonic() + 10
        while os.listdir(self.maildir / "new") and time.monotonic() < deadline:
            time.sleep(0.02)
        return sorted(f"{path.parent.name}/{path.name}" for path in self.maildir.glob("*/*"))


@pytest.fixture
def server(launchers: str) -> Iterator[Server]:
    with ordinary_place() as place:
        made = Server(launchers, place)
        yield made
        made.stop()


@contextmanager
def client_of(server: Server) -> Iterator[poplib.POP3]:
    client = poplib.POP3("127.0.0.1", server.port, timeout=20)
    try:
        yield client
    finally:
        client.close()


def test_a_client_reads_deletes_and_leaves(server: Server) -> None:
    server.deliver("1.a.host", b"Subject: one\n\n.dot\n")
    server.deliver("2.b.host", b"Subject: two\n\n")

    with client_of(server) as client:
        client.user("joe")
        client.pass_("secret")
        _, lines, _ = client.retr(1)
        client.dele(1)
        client.quit()

    assert lines == [b"Subject: one", b"", b".dot", b""]
    assert server.files() == ["cur/2.b.host:2,"]


def test_a_wrong_password_shows_nothing(server: Server) -> None:
    with client_of(server) as client:
        client.user("joe")
        with pytest.raises(poplib.error_proto, match="authorization failed"):
            client.pass_("wrong")


def test_commands_behind_the_password_reach_the_session(server: Server) -> None:
    server.deliver("1.a.host", b"x\n")

    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"USER joe\r\nPASS secret\r\nSTAT\r\nQUIT\r\n")
        answer = b""
        while data := client.recv(1000):
            answer += data

    assert answer.endswith(b"+OK \r\n+OK \r\n+OK 1 2\r\n+OK \r\n")
