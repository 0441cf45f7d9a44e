"""A system home whose mail-only users are kept by one of the accounts of the tests."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import accounts
from tests.support.places import ordinary_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEEPER = "mv1"
HOST = "mail.example.org"


class SystemHome:
    """A home of root's, with what users need of it."""

    def __init__(self, path: Path, launchers: str) -> None:
        self.path = path
        path.mkdir(mode=0o755)
        for name in ("bin", "control", "users", "run", "queue", "queue/lock"):
            (path / name).mkdir()
        # Programs belong to the home that they are called in.
        os.symlink(f"{launchers}/pyqmail", path / "bin" / "pyqmail")
        for name in os.listdir(launchers):
            if name != "pyqmail":
                os.symlink("pyqmail", path / "bin" / name)
        for name in ("me", "locals", "rcpthosts"):
            (path / "control" / name).write_text(HOST + "\n")
        for folder, _, _ in os.walk(path):
            os.chown(folder, 0, 0)

    def qmailctl(self, *arguments: str, text: str = "", **options: Any) -> Any:
        """Run qmailctl; return how it ended."""
        return subprocess.run(
            [self.path / "bin" / "qmailctl", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": os.defpath},
            **options,
        )

    def add(self, name: str, *options: str) -> Any:
        """Add a user; return how that ended."""
        return self.qmailctl("user", "add", name, "--account", KEEPER, *options)


@contextmanager
def system_home(launchers: str) -> Iterator[SystemHome]:
    """Have such a home, and the accounts' homes to ourselves."""
    with ExitStack() as stack:
        stack.enter_context(accounts.accounts())
        stack.enter_context(accounts.homes_of_our_own())
        if not accounts.are_ours():
            pytest.skip("the accounts were here before, and their homes are not ours to use")
        for name in (KEEPER, "alias"):
            os.chmod(accounts.empty_home(name), 0o755)
        place = stack.enter_context(ordinary_place())
        os.chown(place, 0, 0)
        yield SystemHome(place / "home", launchers)
        accounts.empty_home(KEEPER)
