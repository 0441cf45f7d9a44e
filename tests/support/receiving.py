"""A whole home of ours, and a mail server of somebody else's that gets its mail."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tests.support.certificates import Authority
from tests.support.private_home import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.support.private_home import PrivateHome
    from tests.support.receivers import Receiver

SENDER = "aku@mail.example.org"
AGE = 1.2  # seconds; qmail-rspawn reads control files anew after one
STRANGER = Authority()
BETWEEN_RETRIES = 0.5  # seconds


class Site:
    """The home has the user aku, runs, and knows the way to the receiver."""

    def __init__(self, home: PrivateHome, receiver: Receiver) -> None:
        self.home = home
        self.receiver = receiver
        home.remove_mail("aku")
        receiver.empty()
        self._logged = len(home.log())

    def add(self, name: str, line: str) -> None:
        """Add a line to a control file, where the last that fits counts."""
        with open(f"{self.home.path}/control/{name}", encoding="utf-8") as file:
            text = file.read()
        decide(self.home, name, text + line)

    def believe(self, *, anybody: bool) -> None:
        """Believe the authority that has certified all receivers, or nobody."""
        text = self.receiver.authority.certificate() if anybody else STRANGER.certificate()
        decide(self.home, "serverca.pem", text)

    def send(self, *recipients: str, subject: str = "x", body: bytes = b"hello\n") -> None:
        """Send a letter from aku."""
        head = f"Subject: {subject}\nFrom: {SENDER}\n\n"
        self.home.inject(head.encode() + body, f"-f{SENDER}", *recipients)

    def retry(self) -> None:
        """Have what waits tried now, and not at its time, until nothing waits any more."""
        due = 0.0

        def nothing_waits() -> bool:
            nonlocal due
            if time.monotonic() >= due:
                os.kill(self.home.pid, signal.SIGALRM)
                due = time.monotonic() + BETWEEN_RETRIES
            return not self.home.queued()

        self.home.wait(nothing_waits, f"something waits: {self.receiver.log()}")

    def arrived(self, count: int = 1) -> list[bytes]:
        """Return what has arrived once `count` recipients have it and nothing more is queued."""
        self.home.wait(
            lambda: len(self.receiver.recipients()) >= count,
            f"it did not arrive: {self.receiver.log()}",
        )
        self.home.wait_until_empty()
        return self.receiver.mail()

    def bounces(self, count: int = 1) -> list[bytes]:
        """Return what has come back, once it is so many and nothing more is queued."""
        self.home.wait(lambda: len(self.home.mail("aku")) >= count, "no bounce came")
        self.home.wait_until_empty()
        return self.home.mail("aku")

    def log(self) -> str:
        """Return what the home has logged in this test."""
        return self.home.log()[self._logged :]

    def wait_until_logged(self, text: str) -> None:
        """Return when the log has `text`."""
        self.home.wait(lambda: text in self.log(), f"the log lacks {text!r}")


def decide(home: PrivateHome, name: str, text: str) -> None:
    """Write a control file, for nobody else's eyes."""
    home.write(f"control/{name}", text)
    os.chmod(f"{home.path}/control/{name}", 0o600)


def lead_to(home: PrivateHome, receivers: Collection[Receiver], authority: Authority) -> None:
    """Have the home know its way to these receivers, and what is demanded of each."""
    decide(home, "smtproutes", "".join(each.routes() for each in receivers) + NOWHERE)
    decide(home, "tlspolicy", "".join(each.policies() for each in receivers))
    decide(home, "smtproutes_auth", "".join(each.logins() for each in receivers))
    decide(home, "serverca.pem", authority.certificate())
    time.sleep(AGE)
