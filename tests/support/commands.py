"""Run a command of the family as a delivery runs it: on a message, with its environment."""

from __future__ import annotations

import os
import resource
import subprocess
from typing import TYPE_CHECKING

from tests.support.per_message import ENVIRONMENT
from tests.support.queue_stub import QueueStub

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = b"Subject: hi\n\nHello.\n"


class Commands:
    """Runs commands in the folder `top`, with a stand-in for qmail-queue."""

    def __init__(self, launchers: str, top: Path, ending: str = "exit 0") -> None:
        self.top = top
        self._launchers = launchers
        self._queue = QueueStub(f"{top}/qmail-queue", f"{top}/queued", ending)

    def run(
        self,
        name: str,
        *arguments: str | bytes,
        message: bytes = MESSAGE,
        environ: dict[str, str | None] | None = None,
        memory: int = resource.RLIM_INFINITY,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command `name`; None in `environ` takes a variable away.

        `memory` is how many bytes of address space it may have.
        """
        (self.top / "message").write_bytes(message)
        variables = {
            "PATH": f"{self._launchers}:{os.defpath}",
            "QMAILHOME": str(self.top),
            "QMAILQUEUE": self._queue.path,
            **ENVIRONMENT,
            **(environ or {}),
        }
        with (self.top / "message").open("rb") as opened:
            return subprocess.run(
                [f"{self._launchers}/{name}", *arguments],
                stdin=opened,
                env={name: value for name, value in variables.items() if value is not None},
                cwd=self.top,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
                capture_output=True,
                timeout=30,
                check=False,
            )

    def queued(self) -> list[tuple[bytes, bytes]]:
        """Return message and envelope of everything that was queued."""
        return self._queue.received()
