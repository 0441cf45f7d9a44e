"""OpenSMTPD, unpacked into a folder and run from there.

Where its spool, its socket and its helpers are, and who its users are, is compiled
in. So it gets a view of the file system in which its folders lie there. In some
versions of Debian its TLS is broken: it offers STARTTLS, and every handshake fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support.daemons import daemon
from tests.support.receivers import HOME_DOMAIN, KNOWN, MAX_RECIPIENTS, MAX_SIZE, Receiver
from tests.support.unpacked import require_libraries, unpack

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.certificates import Authority

PACKAGE = "opensmtpd"
USERS = {"opensmtpd": 61997, "opensmtpq": 61996}  # that no Debian gives away
EMPTY = "/var/lib/opensmtpd/empty"
# (what it finds there, in which folder that really is)
VIEW = {
    # All of it: a file of it may be replaced by somebody else, and would be seen again.
    "/etc": "etc",
    "/var/spool": "spool",
    "/var/lib": "lib",
    "/run": "run",
    "/usr/libexec": f"{PACKAGE}/usr/libexec",
}
NEEDED = ("hosts", "ld.so.cache", "localtime", "nsswitch.conf", "protocols", "services")
CONFIGURATION = """\
pki ours cert "{certificate}"
pki ours key "{certificate}"
smtp max-message-size {size}
smtp limit max-rcpt {max_recipients}
smtp limit max-mails 5
table known {{ {known} }}
listen on 127.0.0.1 port {ports[plain]} hostname opensmtpd.example
listen on 127.0.0.1 port {ports[tls]} hostname opensmtpd.example tls pki ours
action box maildir "{folder}/mail" virtual <known>
action back relay host smtp://127.0.0.1:{way_back}
match from any for domain "{home}" action back
match from any for domain "*.opensmtpd.example" action box
"""


class OpenSmtpd(Receiver):
    """Give it a folder of its own; unpacks OpenSMTPD there, or skips the test."""

    name = "opensmtpd"
    tells_original = False

    @classmethod
    def why_not(cls) -> str | None:
        if os.getuid() != 0:
            return "needs root, as whom it starts"
        argv = ["unshare", "--mount", "true"]
        if shutil.which("unshare") is None or subprocess.run(argv, check=False).returncode != 0:
            return "no process can have a view of its own of the file system here"
        return None

    def __init__(self, folder: Path, authority: Authority, way_back: int) -> None:
        super().__init__(folder, authority, way_back)
        self._root = unpack(PACKAGE, folder)
        require_libraries(self._root / "usr/sbin/smtpd")
        for name in ("etc", "spool/smtpd", "lib/opensmtpd/empty", "run", "mail"):
            (folder / name).mkdir(parents=True)
        (folder / "spool/smtpd").chmod(0o711)
        self.give_away(self.box)
        self.certificate.chmod(0o600)
        self._write_configuration()

    def _write_configuration(self) -> None:
        text = CONFIGURATION.format(
            folder=self.folder, ports=self.ports, certificate=self.certificate, size=MAX_SIZE,
            home=HOME_DOMAIN, way_back=self.way_back, max_recipients=MAX_RECIPIENTS,
            known=", ".join(f"{name} = nobody" for name in ("joe", "ann", *KNOWN)),
        )  # fmt: skip
        (self.folder / "conf").write_text(text)
        passwd = "".join(
            f"{name}:x:{uid}:{uid}::{EMPTY}:/bin/false\n" for name, uid in USERS.items()
        )
        group = "".join(f"{name}:x:{gid}:\n" for name, gid in USERS.items())
        for name, ours in (("passwd", passwd), ("group", group)):
            with open(f"/etc/{name}", encoding="utf-8") as file:
                (self.folder / "etc" / name).write_text(file.read() + ours)
        for name in NEEDED:
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", self.folder / "etc")

    def start(self) -> AbstractContextManager[object]:
        mounts = "".join(f"mount --bind {self.folder}/{at} {path}\n" for path, at in VIEW.items())
        program = f"exec {self._root}/usr/sbin/smtpd -d -f {self.folder}/conf\n"
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", mounts + program]
        return daemon(argv, list(self.ports.values()), self.folder / "log")
