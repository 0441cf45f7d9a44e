"""The running server, as its log shows it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from letters import Surprise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

QUIET = 0.5  # seconds without a log line: what an earlier run left is done


class Server:
    """`qmailctl run` as a child; its log is printed as it comes, and kept in `lines`."""

    def __init__(self, argv: Sequence[str], **options: object) -> None:
        self.lines: list[str] = []
        # A session of its own: Ctrl-C reaches only us, and we say TERM in order.
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
            errors="backslashreplace",
            **options,
        )
        self._arrival = threading.Condition()
        self._last_line = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._arrival:
                print(f"    {line}", end="", flush=True)
                self.lines.append(line)
                self._last_line = time.monotonic()
                self._arrival.notify_all()
        with self._arrival:
            self._arrival.notify_all()

    def wait(self, enough: Callable[[list[str]], bool], what: str, limit: float = 30) -> None:
        """Return when `enough(lines)` is true; at the latest after `limit` seconds, raise."""
        with self._arrival:
            self._arrival.wait_for(lambda: enough(self.lines) or not self._runs(), limit)
            if not enough(self.lines):
                reason = f"within {limit} seconds" if self._runs() else "before the server ended"
                raise Surprise(f"the log did not show {what} {reason}")

    def silence(self) -> AbstractContextManager[object]:
        """Return a context in which no line of the log is printed; they come after it."""
        return self._arrival

    def log(self, start: int) -> str:
        """Return what qmail-send has said since line `start`; tcpserver speaks in between."""
        lines = self.lines[start:]
        return "".join(line for line in lines if not line.startswith("tcpserver: "))

    def wait_until_quiet(self) -> None:
        """Return when the log has said nothing for a moment."""
        while (silence := time.monotonic() - self._last_line) < QUIET:
            time.sleep(QUIET - silence)

    def stop(self) -> int:
        """Stop the server as TERM does; return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(30)
        except subprocess.TimeoutExpired:
            print("the server did not stop within 30 seconds: killing it", file=sys.stderr)
            self._process.kill()
            code = self._process.wait()
        self._reader.join(5)
        return code

    def wait_for_end(self) -> int:
        """Return the server's exit code when it ends by itself."""
        return self._process.wait()

    def _runs(self) -> bool:
        return self._process.poll() is None
