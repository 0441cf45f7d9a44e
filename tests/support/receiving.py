"""A whole home of ours, and a mail server of somebody else's that gets its mail."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.private_home import PrivateHome
    from tests.support.receivers import Receiver

SENDER = "aku@mail.example.org"
# What a test may have decided.
DECISIONS = ("tlspolicy", "smtproutes_auth", "serverca.pem")


class Site:
    """The home has the user aku, runs, and knows the way to the receiver."""

    def __init__(self, home: PrivateHome, receiver: Receiver) -> None:
        self.home = home
        self.receiver = receiver
        self._logged = len(home.log())

    def begin(self) -> None:
        """Forget what others have sent, and decided."""
        self.home.remove_mail("aku")
        self.receiver.empty()
        for name in DECISIONS:
            path = f"{self.home.path}/control/{name}"
            if os.path.exists(path):
                os.unlink(path)
        self.route({})
        self._logged = len(self.home.log())

    def decide(self, name: str, text: str) -> None:
        """Write a control file, for nobody else's eyes."""
        self.home.write(f"control/{name}", text)
        os.chmod(f"{self.home.path}/control/{name}", 0o600)

    def route(self, relays: dict[str, int]) -> None:
        """Have these domains go to these ports of the receiver, and its own where they go."""
        lines = (f"{domain}:127.0.0.1:{port}\n" for domain, port in relays.items())
        self.decide("smtproutes", self.receiver.routes() + "".join(lines))

    def send(self, *recipients: str, subject: str = "x", body: bytes = b"hello\n") -> None:
        """Send a letter from aku."""
        head = f"Subject: {subject}\nFrom: {SENDER}\n\n"
        self.home.inject(head.encode() + body, f"-f{SENDER}", *recipients)

    def retry(self) -> None:
        """Have what waits tried now, and not at its time."""
        os.kill(self.home.pid, signal.SIGALRM)

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

    def wait_for_log(self, text: str) -> None:
        """Return when the log has `text`."""
        self.home.wait(lambda: text in self.log(), f"the log lacks {text!r}")
