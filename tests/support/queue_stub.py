"""A program that stands in for qmail-queue, keeps what it gets, and ends as it is told."""

from __future__ import annotations

import os

# Descriptor 0 is the message, descriptor 1 the envelope. Each call has a folder
# of its own, numbered from 0. A umask of 0, as any user may be the caller.
SCRIPT = """\
#!/bin/sh
umask 0
number=0
until mkdir "{folder}/$number" 2>/dev/null; do number=$((number + 1)); done
cat >"{folder}/$number/message"
cat <&1 >"{folder}/$number/envelope"
{ending}
"""


class QueueStub:
    """Name `path` in QMAILQUEUE, run what queues a message, and look at `received()`.

    `ending` is shell: `exit 53`, or `printf %s text >&6; exit 82`.
    """

    def __init__(self, path: str, folder: str, ending: str = "exit 0") -> None:
        self.path = path
        self._folder = folder
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)
        with open(path, "w", encoding="utf-8") as file:
            file.write(SCRIPT.format(folder=folder, ending=ending))
        os.chmod(path, 0o755)

    def received(self) -> list[tuple[bytes, bytes]]:
        """Return message and envelope of each call, in the order of the calls."""
        calls = sorted(os.listdir(self._folder), key=int)
        return [(self._read(call, "message"), self._read(call, "envelope")) for call in calls]

    def _read(self, call: str, name: str) -> bytes:
        path = f"{self._folder}/{call}/{name}"
        if not os.path.exists(path):
            return b""
        with open(path, "rb") as file:
            return file.read()
