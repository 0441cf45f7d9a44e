"""A system home whose users have passwords, without its other parts."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from pyqmail.control.assign import parse_assign
from pyqmail.control.cdb import write_cdb

if TYPE_CHECKING:
    from pathlib import Path

UID = 4321  # of all users, and their group


class LoginHome:
    """Has a user `joe`, and `ann` of the domain example.com."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder)
        if os.getuid() == 0:
            os.chown(folder, 0, 0)
        self.joe = folder / "home" / "joe"
        self.joe.mkdir(parents=True, exist_ok=True)
        for name in ("control", "users", "run"):
            (folder / name).mkdir()
        self.uid, self.gid = (UID, UID) if os.getuid() == 0 else (os.getuid(), os.getgid())
        self.control("locals", "example.org\n")
        self.control("virtualdomains", "example.com:vd\n.example.net:\n")
        self.control("checkpassword", "users\n")
        lines = [
            f"={name}:{name}:{self.uid}:{self.gid}:{self.joe}:::" for name in ("joe", "vd-ann")
        ]
        text = "\n".join([*lines, f"=toor:toor:0:0:{self.joe}:::", ".\n"]).encode()
        write_cdb(f"{self.path}/users/cdb", parse_assign(text))
        for name in (folder, folder / "home", self.joe):
            name.chmod(0o755)

    def control(self, name: str, text: str) -> None:
        """Write a control file."""
        with open(f"{self.path}/control/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def users(self, *lines: str) -> None:
        """Write users/passwd."""
        with open(f"{self.path}/users/passwd", "w", encoding="latin-1") as file:
            file.writelines(line + "\n" for line in lines)


def scram_keys(password: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """Return stored key and server key by the letter of RFC 5802 §3."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    client = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return client, _hmac(salted, b"Server Key")


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "sha256").digest()
