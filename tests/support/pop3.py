"""A POP3 server for tests: our tcpserver with qmail-popup, and a home with one user of mail.

Root has a system home, whose porter is root and whose front is qmaild; everybody else has a
home of his own.
"""

from __future__ import annotations

import os
import poplib
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support import accounts
from tests.support.certificates import Authority
from tests.support.logins import LoginHome
from tests.support.tcpserver import PATIENCE, TcpServer, read_all, running

from pyqmail.login.hashing import hash_password
from pyqmail.login.passwords import Entry
from pyqmail.login.scram import make_keys
from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator, Sequence

OLD = 1000000000
PASSWORD = b"secret word"
CHAIN = ("checkpassword", "qmail-pop3d", "Maildir")
HOST = "mail.example.org"


class PopServer:
    """Use it as a context. The user is joe; his password is kept in every way there is."""

    def __init__(
        self,
        launchers: str,
        *,
        chain: Sequence[str] = CHAIN,
        options: Sequence[str] = (),
        variables: dict[str, str] | None = None,
        tls: bool = False,
    ) -> None:
        self._launchers = launchers
        self._chain = chain
        self._options = options
        self._variables = variables or {}
        self._tls = tls
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            self._stack.enter_context(accounts.accounts())
        top = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pop3.")))
        self.home = LoginHome(top)
        self.set_password(PASSWORD)
        Path(f"{self.home.path}/users/passwd").chmod(0o600)
        self.maildir = self.home.joe / "Maildir"
        make_maildir(str(self.maildir))
        for path in (self.home.joe, self.maildir, *self.maildir.iterdir()):
            self.own(path)
        self.authority = Authority() if self._tls else None
        if self.authority is not None:
            control = Path(self.home.path, "control")
            self.authority.issue(control, HOST)
            os.chmod(control / "servercert.pem", 0o644)
        logs = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pop3.log.")))
        environ = {"QMAILHOME": self.home.path, **self._variables}
        self.tcpserver = TcpServer(f"{self._launchers}/tcpserver", logs, environ)
        self._stack.enter_context(running(self.tcpserver))
        self.tcpserver.start(["-RHl0", *self._options], ["qmail-popup", HOST, *self._chain])
        self.port = self.tcpserver.port
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def set_password(self, password: bytes, *, only_hashed: bool = False) -> None:
        """Write joe's entry."""
        hashed = hash_password(password)
        entry = Entry(b"joe", hashed, make_keys(password), password)
        if only_hashed:
            entry = Entry(b"joe", hashed)
        self.home.users(entry.encode().decode("latin-1"))

    def forget_guesses(self) -> None:
        """Let failures before cost nothing."""
        Path(f"{self.home.path}/run/guesses").unlink(missing_ok=True)

    @property
    def context(self) -> ssl.SSLContext:
        """What a client needs to trust the server."""
        assert self.authority is not None
        return self.authority.context()

    def own(self, path: Path) -> None:
        """Give a file to joe."""
        os.chown(path, self.home.uid, self.home.gid)

    def deliver(self, name: str, message: bytes, folder: str = "new", when: int = OLD) -> Path:
        """Put a message into the Maildir."""
        path = self.maildir / folder / name
        path.write_bytes(message)
        self.own(path)
        os.utime(path, (when, when))
        return path

    def files(self) -> list[str]:
        """Return what lies in the Maildir."""
        return sorted(f"{path.parent.name}/{path.name}" for path in self.maildir.glob("*/*"))

    def wait_for_files(self, wanted: list[str]) -> list[str]:
        """Return what lies there, once that is `wanted` or it takes too long."""
        deadline = time.monotonic() + PATIENCE
        while self.files() != wanted and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.files()

    def connect(self) -> socket.socket:
        """Return a connection."""
        return self.tcpserver.connect()

    def ask(self, data: bytes) -> bytes:
        """Say all at once and no more; return all that comes back."""
        return self.tcpserver.ask(data)

    @contextmanager
    def client(self, *, secure: bool = False) -> Iterator[poplib.POP3]:
        """Give a client that has said nothing yet."""
        if secure:
            made: poplib.POP3 = poplib.POP3_SSL(
                "127.0.0.1", self.port, timeout=PATIENCE, context=self.context
            )
        else:
            made = poplib.POP3("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            yield made
        finally:
            made.close()

    @contextmanager
    def session(self) -> Iterator[poplib.POP3]:
        """Give a client that has logged in."""
        with self.client() as client:
            client.user("joe")
            client.pass_(PASSWORD.decode())
            yield client


def hear_all(connection: socket.socket) -> bytes:
    """Return all that is still said."""
    return read_all(connection)


def login_commands(password: bytes = PASSWORD) -> bytes:
    """Return what a client says to log in."""
    return b"USER joe\r\nPASS " + password + b"\r\n"
