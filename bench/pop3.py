"""POP3: logins and messages in a second, and large Maildirs, beside Dovecot and Courier in one run.

All three check the same account's password in the machine's shadow file, whose hash is a quick
one: what is measured is the server, not crypt(3). Clients are processes that wait
for each answer before they say more. Each server has a Maildir of its own, for
Dovecot and Courier keep notes in it. Needs root.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pwd
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import crypt_r
from tests.support import accounts
from tests.support.launchers import launcher_folder
from tests.support.logins import LoginHome
from tests.support.pop3_servers import courier, dovecot, why_not
from tests.support.tcpserver import TcpServer, running

from pyqmail.mailbox.maildir import make_maildir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD = b"secret"
MESSAGE = b"Subject: a message of 2 kB\n\n" + 40 * b"A line of text, as long as most lines are.\n"
CLIENTS = 8
MANY = 50_000
LARGE = 2 << 30
OLD = 1_600_000_000


def main() -> None:
    """Print a table for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"nothing to compare with: {reason}")
        return
    with ExitStack() as stack:
        stack.enter_context(accounts.accounts())
        stack.enter_context(accounts.homes_of_our_own())
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench.")))
        top.chmod(0o755)
        servers = {
            "Dovecot": Server("mv1", stack.enter_context(dovecot(top))),
            "Courier": Server("mv2", stack.enter_context(courier(top))),
            "ours": Server("mv3", stack.enter_context(ours(top))),
            "ours, two workers": Server("mv4", stack.enter_context(ours(top, "--workers", "2"))),
        }
        for server in servers.values():
            server.fill(200)
        compare("logins in a second", servers, arguments, log_in_often)
        compare("messages of 2 kB in a second", servers, arguments, fetch_all)
        for server in servers.values():
            server.fill(MANY)
        for name in ("first", "second"):
            print(f"\n{name} session with {MANY} messages: seconds to log in, and to LIST")
            for label, server in servers.items():
                login, listing = time_listing(server)
                print(f"{login:8.2f}{listing:8.2f}  {label}")
        for server in servers.values():
            server.fill_with_one(LARGE)
        print("\na message of 2 GB: seconds to log in, to LIST and to RETR")
        for label, server in servers.items():
            print("".join(f"{value:8.1f}" for value in time_large(server)) + f"  {label}")
        for server in servers.values():
            server.fill(0)


@contextmanager
def ours(top: Path, *options: str) -> Iterator[int]:
    """Have our server run; give its port."""
    with launcher_folder() as launchers, tempfile.TemporaryDirectory(dir=top) as folder:
        home = LoginHome(Path(folder))
        home.control("checkpassword", "shadow\n")
        server = TcpServer(f"{launchers}/tcpserver", top, {"QMAILHOME": home.path})
        with running(server):
            chain = ["qmail-popup", "host", "checkpassword", "qmail-pop3d", "Maildir"]
            server.start(["-RHl0", "-c", "1000", *options], chain)
            yield server.port


class Server:
    """A server's port, and the account whose mail it gives."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name.encode()
        self.port = port
        hashed = crypt_r.crypt(PASSWORD.decode(), crypt_r.METHOD_MD5)
        subprocess.run(["usermod", "-p", hashed, name], check=True)
        self._account = pwd.getpwnam(name)

    def fill(self, number: int) -> None:
        """Have so many messages, and nothing else."""
        maildir = self._empty()
        for index in range(number):
            path = f"{maildir}/cur/{OLD + index}.M{index}P1.host:2,S"
            with open(path, "wb") as file:
                file.write(MESSAGE)
            self._own(path)
            os.utime(path, (OLD + index, OLD + index))

    def fill_with_one(self, size: int) -> None:
        """Have one message of that size, most of which is a hole."""
        path = f"{self._empty()}/cur/{OLD}.M1P1.host:2,S"
        with open(path, "wb") as file:
            file.write(MESSAGE)
        os.truncate(path, size)
        self._own(path)

    def _empty(self) -> str:
        home = accounts.empty_home(self.name.decode())
        maildir = f"{home}/Maildir"
        make_maildir(maildir)
        for name in ("", "/tmp", "/new", "/cur"):
            self._own(maildir + name)
        return maildir

    def _own(self, path: str) -> None:
        os.chown(path, self._account.pw_uid, self._account.pw_gid)


class Client:
    """One session."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), 120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard = b""
        self._line()
        self.say(b"USER " + server.name)
        self.say(b"PASS " + PASSWORD)

    def say(self, command: bytes) -> bytes:
        """Return the first line of the answer."""
        self._socket.sendall(command + b"\r\n")
        line = self._line()
        assert line.startswith(b"+OK"), (command, line)
        return line

    def ask(self, command: bytes) -> int:
        """Hear an answer of many lines; return how many bytes it had."""
        self._socket.sendall(command + b"\r\n")
        size, end = 0, self._heard
        while not end.endswith(b"\r\n.\r\n"):
            piece = self._socket.recv(1 << 18)
            assert piece, command
            size += len(piece)
            end = (end + piece)[-5:]
        self._heard = b""
        return size

    def quit(self) -> None:
        """Say QUIT and hear the answer."""
        self.say(b"QUIT")
        self._socket.close()

    def _line(self) -> bytes:
        while b"\n" not in self._heard:
            piece = self._socket.recv(4096)
            assert piece, "the server has hung up"
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line


def log_in_often(server: Server, deadline: float) -> int:
    """Log in again and again; return how often."""
    count = 0
    while time.monotonic() < deadline:
        Client(server).quit()
        count += 1
    return count


def fetch_all(server: Server, deadline: float) -> int:
    """Fetch one message after the other; return how many."""
    client = Client(server)
    count = 0
    while time.monotonic() < deadline:
        client.ask(b"RETR %d" % (count % 200 + 1))
        count += 1
    client.quit()
    return count


def compare(
    what: str,
    servers: dict[str, Server],
    arguments: argparse.Namespace,
    work: Callable[[Server, float], int],
) -> None:
    """Have clients work at each server in turn; print medians and ratios."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(arguments.rounds):
        for name, server in servers.items():
            rates[name].append(rate_of(server, arguments.seconds, work))
    base = statistics.median(rates["Dovecot"])
    print(f"\n{what}, {CLIENTS} clients")
    print(f"{'median':>8}{'ratio':>8}{'lowest':>8}{'highest':>9}")
    for name, found in rates.items():
        median = statistics.median(found)
        print(f"{median:8.0f}{median / base:8.2f}{min(found):8.0f}{max(found):9.0f}  {name}")


def rate_of(server: Server, seconds: float, work: Callable[[Server, float], int]) -> float:
    """Return how much all clients together do in a second."""
    start = time.monotonic()
    with multiprocessing.get_context("fork").Pool(CLIENTS) as pool:
        counts = pool.starmap(work, [(server, start + seconds)] * CLIENTS)
    return sum(counts) / (time.monotonic() - start)


def time_listing(server: Server) -> tuple[float, float]:
    """Return the seconds of a login and of LIST."""
    start = time.monotonic()
    client = Client(server)
    logged_in = time.monotonic()
    client.ask(b"LIST")
    listed = time.monotonic()
    client.quit()
    return logged_in - start, listed - logged_in


def time_large(server: Server) -> tuple[float, float, float]:
    """Return the seconds of a login, of LIST and of RETR."""
    login, listing = time_listing(server)
    client = Client(server)
    start = time.monotonic()
    assert client.ask(b"RETR 1") >= LARGE
    took = time.monotonic() - start
    client.quit()
    return login, listing, took


if __name__ == "__main__":
    main()
