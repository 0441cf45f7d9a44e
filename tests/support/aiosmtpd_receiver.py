"""aiosmtpd, unpacked into a folder, as a receiver of our mail.

It offers no PIPELINING. Its variant `strict` takes nothing without TLS and a password.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from tests.support.daemons import daemon
from tests.support.receivers import KNOWN, LOGIN, MAX_SIZE, PASSWORD, Receiver
from tests.support.unpacked import unpack

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.certificates import Authority

PACKAGES = ("python3-aiosmtpd", "python3-attr", "python3-public")
PROGRAM = os.path.join(os.path.dirname(__file__), "aiosmtpd_program.py")


class Aiosmtpd(Receiver):
    """Give it a folder of its own; unpacks aiosmtpd there, or skips the test."""

    name = "aiosmtpd"
    variants = ("plain", "tls", "strict", "relay", "mended")
    tls_words = rb"X-Tls: True"

    def __init__(self, folder: Path, authority: Authority, way_back: int) -> None:
        super().__init__(folder, authority, way_back)
        root = unpack(PACKAGES[0], folder, *PACKAGES[1:])
        self._modules = root / "usr/lib/python3/dist-packages"

    def start(self) -> AbstractContextManager[object]:
        settings = {
            "box": str(self.box),
            "certificate": str(self.certificate),
            "known": ["joe", "ann", "jörg", *KNOWN],
            "login": LOGIN,
            "password": PASSWORD,
            "ports": self.ports,
            "size": MAX_SIZE,
        }
        argv = [sys.executable, PROGRAM, json.dumps(settings)]
        environ = {**os.environ, "PYTHONPATH": str(self._modules)}
        return daemon(argv, list(self.ports.values()), self.folder / "log", env=environ)
