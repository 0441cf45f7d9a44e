"""Postfix, unpacked into a folder and run from there beside whatever the machine has.

Its daemons must start as root. Two accounts that every Debian has, and that
own nothing there, take the places of `postfix` and `postdrop`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.unpacked import environ

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OWNER, GROUP = "uucp", "news"
PATIENCE = 20  # seconds until it listens, or has ended
OWN_FOLDERS = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"),
    *("maildrop", "private", "public", "saved", "trace"),
)
SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
retry unix - - n - - error
error unix - - n - - error
scache unix - - n - 1 scache
"""
# What takes messages out of incoming/. Without it they stay there.
MANAGER = "qmgr unix n - n 300 1 qmgr\n"


def why_not() -> str | None:
    """Return why Postfix cannot run here; None if it can."""
    return None if os.getuid() == 0 else "needs root, as whom Postfix's daemons start"


class Postfix:
    """One instance below `folder`, of what is unpacked at `root`."""

    def __init__(self, root: Path, folder: Path, settings: Mapping[str, str]) -> None:
        self._root = root
        self._folder = folder
        self.queue = folder / "queue"
        self._configure(settings)
        self.port = _free_port()

    def _configure(self, settings: Mapping[str, str]) -> None:
        root, folder = self._root, self._folder
        for name in ("conf", "data", "queue/pid", *(f"queue/{name}" for name in OWN_FOLDERS)):
            (folder / name).mkdir(parents=True)
        subprocess.run(
            ["chown", OWNER, "data", *(f"queue/{name}" for name in OWN_FOLDERS)],
            cwd=folder,
            check=True,
        )
        main = {
            "compatibility_level": "3.6",
            "daemon_directory": f"{root}/usr/lib/postfix/sbin",
            "command_directory": f"{root}/usr/sbin",
            "shlib_directory": f"{root}/usr/lib/postfix",
            "meta_directory": f"{root}/etc/postfix",
            "queue_directory": f"{self.queue}",
            "data_directory": f"{folder}/data",
            "mail_owner": OWNER,
            "setgid_group": GROUP,
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "inet_protocols": "ipv4",
            "import_environment": "MAIL_CONFIG LD_LIBRARY_PATH",
            "export_environment": "MAIL_CONFIG LD_LIBRARY_PATH",
            **settings,
        }
        text = "".join(f"{name} = {value}\n" for name, value in main.items())
        (folder / "conf" / "main.cf").write_text(text)

    @contextmanager
    def running(self, *, delivers: bool) -> Iterator[None]:
        """Run it; without `delivers` it only takes messages in."""
        services = SERVICES.format(port=self.port) + MANAGER * delivers
        (self._folder / "conf" / "master.cf").write_text(services)
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [f"{self._root}/usr/lib/postfix/sbin/master", "-d", "-c", f"{self._folder}/conf"],
                env=self.environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_for_port(process)
            yield
        finally:
            # Its children are in its session, and only they.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)

    def environ(self) -> dict[str, str]:
        """Return the variables of its programs."""
        return {**environ(self._root), "MAIL_CONFIG": f"{self._folder}/conf"}

    def log(self) -> str:
        """Return what its master has said."""
        return (self._folder / "log").read_text()

    def _wait_for_port(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
