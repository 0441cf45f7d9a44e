"""Memory of the C original as a complete system home, idle and under load: for system_memory.

As root, with a folder where the original was compiled (its conf-qmail names an empty place for its
home) and Debian's ucspi-tcp: `python bench/original_memory.py FOLDER`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from processes import family
from system_memory import SETTLE, report
from tests.support import accounts

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "mail.example.org"
USER = accounts.USERS[0]


def main() -> None:
    """Print what its processes have, as system_memory does of ours."""
    source = sys.argv[1]
    with open(f"{source}/conf-qmail", encoding="ascii") as file:
        home = file.readline().strip()
    with accounts.accounts(), accounts.homes_of_our_own(), running(source, home) as (start, server):

        def pids() -> list[int]:
            return [*family(start.pid), *family(server.pid)]

        time.sleep(SETTLE)
        for pid in pids():
            with open(f"/proc/{pid}/cmdline", encoding="latin-1") as file:
                print(f"  {file.read().split(chr(0))[0]}")
        report("the C original", pids, 2598, f"{USER}@{HOST}")


@contextmanager
def running(
    source: str, home: str
) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Have it installed at `home` and running there; remove it in the end."""
    os.makedirs(home)
    try:
        subprocess.run(["./install"], cwd=source, check=True, stdout=subprocess.DEVNULL)
        for name in ("me", "locals", "rcpthosts"):
            write(f"{home}/control/{name}", f"{HOST}\n")
        write(f"{home}/control/smtproutes", ":127.0.0.1:1\n")
        folder = accounts.empty_home(USER)
        subprocess.run([f"{home}/bin/maildirmake", f"{folder}/Maildir"], check=True)
        subprocess.run(["chown", "-R", USER, folder], check=True)
        daemon = pwd.getpwnam("qmaild")
        listen = ["tcpserver", "-RHl0", "-u", str(daemon.pw_uid), "-g", str(daemon.pw_gid)]
        listen += ["127.0.0.1", "2598", f"{home}/bin/qmail-smtpd"]
        environ = {"PATH": f"{home}/bin:{os.defpath}"}
        nowhere = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        argv = ["qmail-start", "./Maildir/", "splogger", "qmail"]
        with (
            subprocess.Popen(argv, env=environ, cwd="/", **nowhere) as start,
            subprocess.Popen(listen, env=environ, cwd="/", **nowhere) as server,
        ):
            try:
                yield start, server
            finally:
                server.kill()
                start.send_signal(signal.SIGTERM)
    finally:
        shutil.rmtree(home)


def write(path: str, text: str) -> None:
    """Write a file."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


if __name__ == "__main__":
    main()
