"""Postfix, unpacked into a folder and run from there beside whatever the machine has.

Its daemons must start as root. Two accounts that every Debian has, and that
own nothing there, take the places of `postfix` and `postdrop`.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.daemons import daemon, free_port
from tests.support.unpacked import environ

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OWNER, GROUP = "uucp", "news"
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
    """One instance below `folder`, of what is unpacked at `root`.

    It listens on `port`, and has more `services` if these lines of master.cf say so.
    """

    def __init__(
        self, root: Path, folder: Path, settings: Mapping[str, str], services: str = ""
    ) -> None:
        self._root = root
        self._services = services
        self._folder = folder
        self.queue = folder / "queue"
        self._configure(settings)
        self.port = free_port()

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
        services = SERVICES.format(port=self.port) + self._services + MANAGER * delivers
        (self._folder / "conf" / "master.cf").write_text(services)
        argv = [f"{self._root}/usr/lib/postfix/sbin/master", "-d", "-c", f"{self._folder}/conf"]
        with daemon(argv, [self.port], self._folder / "log", env=self.environ()):
            yield

    def environ(self) -> dict[str, str]:
        """Return the variables of its programs."""
        return {**environ(self._root), "MAIL_CONFIG": f"{self._folder}/conf"}

    def log(self) -> str:
        """Return what its master has said."""
        return (self._folder / "log").read_text()
