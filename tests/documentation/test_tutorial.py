"""docs/tutorial.md, typed as it stands: every command is run, every answer compared.

/var/qmail is a folder of the test's, the accounts have its prefix, the ports are free
ones, and /dev/log is the test's, so that the log can be read.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.support import accounts
from tests.support.system_home import PREFIX, QMAILCTL, SystemHome, why_not

from pyqmail.control.roles import FAMILY

if TYPE_CHECKING:
    from collections.abc import Iterator

TUTORIAL = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "tutorial.md")
LOG_SOCKET = "/dev/log"
CREDENTIALS = struct.Struct("3i")  # pid, uid, gid; unix(7)
PATIENCE = 30  # seconds in which a busy machine does what the tutorial waits two for
PROGRAMS = ("csh", "telnet", "ps", "useradd")
MBOX = "From ann@example.org Sat Jan 03 04:05:06 2025\nSubject: 1\n\nhalo\n\n"
ANYTHING = "…"
# What the other side says in a conversation; everything else is typed.
ANSWER = re.compile(r"\d\d\d |Trying |Connected to |Escape character |Connection closed |\+OK|-ERR")


def reason() -> str | None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if why_not() is None and missing:
        return f"needs {', '.join(missing)}"
    return why_not()


pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.peer,
    pytest.mark.skipif(reason() is not None, reason=str(reason())),
    pytest.mark.xdist_group("system home: tutorial"),
]


def blocks() -> Iterator[tuple[str, str]]:
    """Yield language and text of each block of the tutorial."""
    with open(TUTORIAL, encoding="utf-8") as file:
        yield from re.findall(r"^```(\w+)\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)


def commands(block: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield who types, what, and the answer."""
    for piece in re.split(r"^(?=[#$] )", block, flags=re.MULTILINE):
        if piece:
            command, *answer = piece.splitlines()
            yield command[0], command[2:], answer


class Here:
    """What the tutorial's names mean in this test."""

    def __init__(self, home: SystemHome) -> None:
        self.home = home
        self.ports = {"25": str(free_port()), "110": str(free_port())}
        self.variables: dict[str, str] = {}

    def words(self, text: str) -> str:
        """Return `text` with the names of this test."""
        text = text.replace("/var/spool/mail", f"{self.home.top}/spool")
        text = text.replace("/var/log/mail.log", f"{self.home.top}/mail.log")
        text = text.replace("/home/aku", self.home.home_of("aku"))
        text = re.sub(r"\baku\b(?!/Mail)", f"{PREFIX}aku", text)
        text = re.sub(r"(?<=127\.0\.0\.1 )(25|110)\b", lambda m: self.ports[m[1]], text)
        return re.sub("/var/qmail|\0", self.home.path, text)

    def command(self, text: str) -> str:
        """Return a command as it is typed here."""
        if text.startswith(("groupadd", "useradd")):
            text = re.sub(r"(?<=[ ])(nofiles|qmail\w?|alias)\b", rf"{PREFIX}\1", text)
        text = text.replace("cd ~alias", f"cd ~{PREFIX}alias")
        if "setup --system" in text:
            text += f" --prefix {PREFIX}"
        if "migrate spool" in text:
            text += " --spool /var/spool/mail"
        return self.words(text)

    def answer(self, lines: list[str]) -> list[str]:
        """Return an answer as it comes here."""
        roles = "|".join(FAMILY)
        lines = [
            re.sub(rf"^(made account or group )({roles})$", rf"\1{PREFIX}\2", x) for x in lines
        ]
        lines = [re.sub(rf"^({roles})(?= …)", rf"{PREFIX}\1", line) for line in lines]
        return [self.words(line) for line in lines]

    def run(self, who: str, command: str) -> list[str]:
        """Type a command; return the lines of its answer."""
        place = self.home.home_of("aku") if who == "$" else "/"
        # What is started in the background keeps its output open: a pipe would have no end.
        with open(f"{self.home.top}/output", "w+", encoding="utf-8") as output:
            done = subprocess.run(
                ["sh", "-c", self.command(command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=60,
                cwd=place,
                **self.identity(who),
            )
            output.seek(0)
            lines = output.read().splitlines()
        assert done.returncode in {0, 100}, (command, lines)
        return lines

    def identity(self, who: str) -> dict[str, object]:
        """Return what makes `subprocess` run something as who types it."""
        path = f"{self.home.top}/pip/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        environ = self.home.environ(PATH=path)
        if who == "#":
            return {"env": environ}
        entry = self.home.account("aku")
        environ |= {"USER": entry.pw_name, "HOME": entry.pw_dir}
        uid, gid = entry.pw_uid, entry.pw_gid
        return {"env": environ, "user": uid, "group": gid, "extra_groups": []}

    def converse(self, lines: list[str]) -> None:
        """Hold a conversation by telnet: each line is typed, or must come."""
        command, *lines = [self.words(line) for line in lines]
        argv = command.removeprefix("$ ").split()
        await_server(argv[1], int(argv[2]))
        with subprocess.Popen(
            ["stdbuf", "-o0", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        ) as telnet:
            for line in lines:
                if ANSWER.match(line):
                    said = telnet.stdout.readline().decode().rstrip("\r\n")
                    assert fits(line, said), (line, said)
                else:
                    telnet.stdin.write(line.encode() + b"\n")  # as the key does
            telnet.stdin.close()


def await_server(host: str, port: int) -> None:
    """Return when somebody listens: who types a command takes longer than a service to start."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as client:
            if client.connect_ex((host, port)) == 0:
                return
        assert time.monotonic() < deadline, f"nobody listens at port {port}"
        time.sleep(0.05)


def fits(line: str, found: str) -> bool:
    """Is this the line, `…` standing for anything?"""
    pattern = r"\s*".join(".*".join(map(re.escape, re.split(f" ?{ANYTHING} ?", line))).split("\0"))
    return re.fullmatch(pattern, found.rstrip()) is not None or line.rstrip() == found.rstrip()


def compare(command: str, wanted: list[str], found: list[str]) -> None:
    """Compare an answer; after a line `…`, the others may stand anywhere among more."""
    if wanted[:1] == [ANYTHING]:
        for line in wanted[1:]:
            assert any(fits(line, each) for each in found), (command, line, found)
        return
    assert len(wanted) == len(found), (command, wanted, found)
    for line, each in zip(wanted, found, strict=True):
        assert fits(line, each), (command, line, each)


def type_and_compare(here: Here, who: str, command: str, wanted: list[str]) -> None:
    """Type a command and compare its answer; who looks into the log may look again."""
    looks_again = command.startswith(("sleep ", "grep "))
    end = time.monotonic() + PATIENCE
    while True:
        found = here.run(who, command)
        try:
            compare(command, wanted, found)
        except AssertionError:
            if not looks_again or time.monotonic() > end:
                raise
        else:
            return


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def somebody_listens() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(LOG_SOCKET)
        except OSError:
            return False
    return True


def is_ours(control: list[tuple[int, int, bytes]]) -> bool:
    """Say whether an account of this test has sent what came with `control`."""
    ((_, _, credentials),) = control
    _, uid, _ = CREDENTIALS.unpack(credentials)
    try:
        return pwd.getpwuid(uid).pw_name.startswith(PREFIX)
    except KeyError:
        return False


@contextmanager
def system_log(path: str) -> Iterator[None]:
    """Be the system's log while this lasts; what comes goes into a file."""
    if somebody_listens():
        pytest.skip(f"needs {LOG_SOCKET} for itself, and the machine has it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, open(path, "w") as log:
        if os.path.lexists(LOG_SOCKET):
            os.unlink(LOG_SOCKET)  # of a run that was killed
        listener.bind(LOG_SOCKET)
        os.chmod(LOG_SOCKET, 0o666)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

        def write() -> None:
            while True:
                line, control, *_ = listener.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
                if not line:
                    return
                if is_ours(control):  # another test may log at the same time
                    date = time.strftime("%b %d %H:%M:%S")
                    log.write(f"{date} {line.partition(b'>')[2].decode('latin-1')}\n")
                    log.flush()

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", LOG_SOCKET)
            writer.join()
            os.unlink(LOG_SOCKET)


def prepare(here: Here) -> None:
    """Have what the machine of the tutorial has: an installed package, and old mail."""
    home = here.home
    os.makedirs(f"{home.top}/pip/bin")
    with open(f"{home.top}/pip/bin/qmailctl", "w", encoding="utf-8") as script:
        script.write(f"#!/bin/sh\nexec {sys.executable} -c '{QMAILCTL}' \"$@\"\n")
    os.chmod(f"{home.top}/pip/bin/qmailctl", 0o755)
    os.mkdir(f"{home.top}/spool")
    with open(f"{home.top}/spool/{PREFIX}aku", "w", encoding="ascii") as file:
        file.write(MBOX)
    os.chown(f"{home.top}/spool/{PREFIX}aku", home.account("aku").pw_uid, -1)


def use_free_port(here: Here) -> None:
    """Let the service of port 25 be at another port, once there is one."""
    path = f"{here.home.path}/supervise/qmail-smtpd/run"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(" 0 smtp ", f" 127.0.0.1 {here.ports['25']} "))


def test_the_tutorial_can_be_typed_as_it_stands() -> None:
    typed = 0
    with (
        accounts.locked("log"),
        SystemHome("aku", made=False) as home,
        system_log(f"{home.top}/mail.log"),
    ):
        here = Here(home)
        prepare(here)
        for language, text in blocks():
            if language == "text":
                here.converse(text.splitlines())
                continue
            for who, command, answer in commands(text):
                type_and_compare(here, who, command, here.answer(answer))
                typed += 1
                if "setup --system" in command:
                    use_free_port(here)
        assert not home.processes().keys() & {"qmail-send", "qmail-lspawn"}

    assert typed > 30
