"""The command qmailctl, run by an ordinary user, in a pipe or on a terminal."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import termios
from typing import TYPE_CHECKING, Any

from tests.support.children import NOBODY

if TYPE_CHECKING:
    from pathlib import Path

Done = subprocess.CompletedProcess[str]


class Qmailctl:
    """Runs qmailctl as an ordinary user, or as who calls."""

    def __init__(self, launchers: str, place: Path) -> None:
        self.argv = [f"{launchers}/qmailctl"]
        self.place = place
        self.home = place / "home"

    def options(self, environ: dict[str, str], *, as_root: bool) -> dict[str, Any]:
        variables = {"PATH": os.defpath, "QMAILHOME": str(self.home)}
        options: dict[str, Any] = {"env": variables | environ, "cwd": "/"}
        if os.getuid() == 0 and not as_root:
            options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        return options

    def __call__(
        self, *arguments: str, as_root: bool = False, text: str = "", **environ: str
    ) -> Done:
        done = subprocess.run(
            [*self.argv, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **self.options(environ, as_root=as_root),
        )
        assert "Traceback" not in done.stderr
        return done

    def on_a_terminal(self, *arguments: str) -> str:
        """Return what people see."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 200))
        with subprocess.Popen(
            [*self.argv, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            **self.options({"TERM": "xterm", "NO_COLOR": "1"}, as_root=False),
        ):
            os.close(theirs)
            seen = _read_terminal(ours)
        return seen.decode()


def _read_terminal(descriptor: int) -> bytes:
    pieces = []
    with open(descriptor, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                pieces.append(piece)
        except OSError as error:  # Linux's way to say that the other end is closed
            if error.errno != errno.EIO:
                raise
    return b"".join(pieces)
