"""Mail servers that others wrote, as receivers of our mail: what they have in common.

Each has a port for each of its variants, and takes mail for VARIANT.NAME.example and
all below it there: `plain` offers extensions but no TLS, `tls` STARTTLS as well, `bare` as
little as that server can; `relay` takes mail for everybody from who logs in, and so does
`mended`, whose password is wrong at first. All of it lies in one Maildir. Everywhere joe and
ann are known, and also grey where somebody is turned away at first; messages above
`MAX_SIZE` are refused; late is accepted and then bounced. Each has such limits as it knows, and
sends its reports to the port `way_back`, where the home of `HOME_DOMAIN` is.
"""

from __future__ import annotations

import os
import re
import smtplib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.children import NOBODY
from tests.support.daemons import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.certificates import Authority

MAX_SIZE = 100_000  # bytes
HOME_DOMAIN = "mail.example.org"
KNOWN = [f"r{number}" for number in range(24)]  # more whom it knows
MAX_RECIPIENTS = 10  # of a transaction; the rest is told to come back
MAX_ERRORS = 5  # in a session, where a receiver counts them
LOGIN, PASSWORD = "us", "correct horse"
# Whom a copy is for, in the words of each.
_RECIPIENTS = re.compile(rb"^(?:Envelope-to|Delivered-To|X-Recipients): (.*)$", re.MULTILINE)


class Receiver:
    """One of them, below `folder`, which an ordinary user owns and everybody can reach."""

    name = ""
    variants: Sequence[str] = ("plain", "tls")
    tells_original = True  # do its reports say what ORCPT and ENVID were (RFC 3461 §6.3)?
    tls_words = rb"(?i)\bwith esmtpsa?\b"  # RFC 3848

    def __init__(self, folder: Path, authority: Authority, way_back: int) -> None:
        self.folder = folder
        self.way_back = way_back
        self.box = folder / "mail"
        self.ports = {variant: free_port() for variant in self.variants}
        self.authority = authority
        self.certificate = folder / "servercert.pem"
        authority.issue(folder, self.domain("tls"))

    @classmethod
    def why_not(cls) -> str | None:
        """Return why it cannot run here; None if it can be tried."""
        return None

    @property
    def open_variants(self) -> Sequence[str]:
        """Return the variants without TLS."""
        return [name for name in self.variants if name in ("plain", "bare")]

    def domain(self, variant: str, purpose: str = "") -> str:
        """Return a domain whose mail a variant takes; `policies()` has a line for each purpose."""
        return f"{purpose}.{variant}.{self.name}.example".lstrip(".")

    def foreign_domain(self, variant: str) -> str:
        """Return a domain that is not its own, whose mail is sent to a variant all the same."""
        return f"far-beyond-{variant}-{self.name}.example"

    def routes(self) -> str:
        """Return the lines of control/smtproutes that lead to it."""
        lines = ""
        for variant, port in self.ports.items():
            own = self.domain(variant)
            for domain in (own, "." + own, self.foreign_domain(variant)):
                lines += f"{domain}:127.0.0.1:{port}\n"
        return lines

    def policies(self) -> str:
        """Return the lines of control/tlspolicy, one for each purpose."""
        name = self.domain("tls")
        return (
            f"{self.domain('tls', 'none')}:none\n"
            f"{self.domain('plain', 'must')}:encrypt\n"
            f"{self.domain('tls', 'named')}:verify:{name}\n"
            f"{self.domain('tls', 'certified')}:encrypt\n"
            f"{self.domain('tls', 'misnamed')}:verify:other.example\n"
            # With another name, lest a connection that has been verified is used again.
            f"{self.domain('tls', 'unbelieved')}:verify:{name}:unbelieved.example\n"
        )

    def login(self, variant: str, password: str = PASSWORD) -> str:
        """Return the line of control/smtproutes_auth for a variant."""
        return f"127.0.0.1:{self.ports[variant]} {LOGIN} {password}\n"

    def logins(self) -> str:
        """Return the lines of control/smtproutes_auth."""
        passwords = {"relay": PASSWORD, "mended": "wrong", "strict": PASSWORD}
        return "".join(
            self.login(variant, password)
            for variant, password in passwords.items()
            if variant in self.variants
        )

    def start(self) -> AbstractContextManager[object]:
        """Run it as long as the context lasts."""
        raise NotImplementedError(self.name)

    @contextmanager
    def running(self) -> Iterator[Receiver]:
        """Run it as long as the context lasts."""
        with self.start():
            yield self

    def mail(self) -> list[bytes]:
        """Return the messages that have arrived."""
        folder = self.box / "new"
        return [path.read_bytes() for path in folder.iterdir()] if folder.exists() else []

    def recipients(self) -> list[str]:
        """Return who has got a message, once for each copy, in alphabetical order."""
        # Our own fields begin with the one of our qmail-queue; the receiver's stand before it.
        heads = (text.partition(b"\nReceived: (qmail")[0] for text in self.mail())
        found = (match[1].decode() for head in heads for match in _RECIPIENTS.finditer(head))
        return sorted(word for words in found for word in words.replace(",", " ").split())

    def came_by_tls(self, message: bytes) -> bool:
        """Say whether it says so."""
        head = message.partition(b"\nReceived: (qmail")[0]
        return re.search(self.tls_words, head) is not None

    def speaks_tls(self) -> bool:
        """Try whether it does what it offers."""
        with smtplib.SMTP("127.0.0.1", self.ports["tls"]) as client:
            try:
                client.starttls(context=self.authority.context())
            except OSError:
                client.close()
                return False
        return True

    def empty(self) -> None:
        """Take away what has arrived."""
        for path in (self.box / "new").glob("*"):
            path.unlink()

    def log(self) -> str:
        """Return what it has said."""
        return (self.folder / "log").read_text(errors="replace")

    def give_away(self, *paths: Path) -> None:
        """Have an ordinary user own these."""
        if os.getuid() == 0:
            for path in paths:
                os.chown(path, NOBODY, NOBODY)
