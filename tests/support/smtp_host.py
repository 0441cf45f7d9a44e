"""A home in which SMTP sessions are held in memory."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.support.sessions import MemoryQueue, MemoryStream

from pyqmail.reception.smtp import Services, serve

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyqmail.protocol.smtp.auth import DigestClaim, PasswordClaim, ScramKeys

MAIL = b"MAIL FROM:<sue@example.net>\r\n"
RCPT = b"RCPT TO:<joe@example.org>\r\n"
ENVELOPE = MAIL + RCPT
MESSAGE = b"DATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n"
QUIT = b"QUIT\r\n"


class Host:
    """A home in which sessions are held, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.home = str(folder)
        self.control = folder / "control"
        self.control.mkdir()
        self.set("me", "mail.example.org\n")
        self.set("rcpthosts", "example.org\n")
        self.queue = MemoryQueue()
        self.log: list[bytes] = []
        self.services = Services(log=self.log.append)
        self.stream = MemoryStream([])

    def set(self, name: str, text: str) -> None:
        (self.control / name).write_text(text)

    def hold(
        self, *pieces: bytes, patient: bool = False, **environ: bytes
    ) -> tuple[int, list[bytes]]:
        """Return exit status, and the lines that were said after the greeting."""
        return self.hold_pieces(pieces, patient=patient, **environ)

    def hold_pieces(
        self, pieces: Iterable[bytes], *, patient: bool = False, **environ: bytes
    ) -> tuple[int, list[bytes]]:
        """Do the same for `pieces`, which may depend on what is heard."""
        stream = self.stream = MemoryStream(pieces, patient=patient)
        variables = {name.encode(): value for name, value in environ.items()}
        session = serve(self.home, variables, stream, self.queue, self.services)  # type: ignore[arg-type]
        status = asyncio.run(session)
        _, *lines = stream.transcript().split(b"\r\n")
        return status, lines[:-1]

    def offer(self, **services: object) -> None:
        """Add services."""
        self.services = replace(self.services, **services)  # type: ignore[arg-type]


class AnyCertificate:
    """There is a certificate; what TLS does to bytes is not what is tested in memory."""

    def context(self, _ciphers: str | None) -> ssl.SSLContext:
        """Return something that nobody uses."""
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@dataclass
class Passwords:
    """A password store that knows joe, whose password is secret."""

    mechanisms: tuple[bytes, ...] = (b"PLAIN", b"LOGIN")
    failure: Exception | None = None
    keys: ScramKeys | None = None
    asked: list[object] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    async def verify_password(self, claim: PasswordClaim) -> bool:
        """Compare."""
        self._note(claim)
        return (claim.login, claim.password) == (b"joe", b"secret")

    async def verify_digest(self, claim: DigestClaim) -> bool:
        """Believe one digest."""
        self._note(claim)
        return claim.digest == b"a" * 32

    async def find_keys(self, login: bytes) -> ScramKeys:
        """Give the one set of keys."""
        self._note(login)
        assert self.keys is not None
        return self.keys

    async def note_refusal(self, login: bytes) -> None:
        """Remember it."""
        self.refused.append(login)

    def _note(self, question: object) -> None:
        if self.failure is not None:
            raise self.failure
        self.asked.append(question)
