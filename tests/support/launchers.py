"""A folder of launchers for tests that need programs but no whole home."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyqmail
from pyqmail.programs.run import SECOND_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = os.path.dirname(os.path.abspath(pyqmail.__file__))

LAUNCHER = """\
#!{interpreter} -IS
import os, sys
sys.path += {folders!r}
from pyqmail.programs.run import launch
launch(os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[0]))))
"""


def program_names() -> list[str]:
    """Return the names of all programs that exist by now."""
    return sorted(
        name[:-3].replace("_at", "@").replace("_", "-")
        for name in os.listdir(f"{PACKAGE}/programs")
        if _is_program(f"{PACKAGE}/programs/{name}")
    )


def _is_program(path: str) -> bool:
    if not path.endswith(".py"):
        return False
    with open(path, encoding="utf-8") as file:
        return "\ndef main(" in file.read()


@contextmanager
def launcher_folder() -> Iterator[str]:
    """Make a folder with a launcher for every program; every account can use it.

    If the checkout is out of reach for others, the package is copied.
    """
    with tempfile.TemporaryDirectory(prefix="launchers.") as top:
        os.chmod(top, 0o755)
        source = os.path.dirname(PACKAGE)
        if not all_can_reach(f"{PACKAGE}/errors.py"):
            source = f"{top}/src"
            shutil.copytree(PACKAGE, f"{source}/pyqmail")
        folder = f"{top}/bin"
        os.mkdir(folder, 0o755)
        libraries = [path for path in sys.path if path.endswith("site-packages")]
        text = LAUNCHER.format(
            interpreter=os.path.realpath(sys.executable), folders=[source, *libraries]
        )
        with open(f"{folder}/pyqmail", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{folder}/pyqmail", 0o755)
        for name in (*program_names(), *SECOND_NAMES):
            os.symlink("pyqmail", f"{folder}/{name}")
        yield folder


def all_can_reach(path: str) -> bool:
    """Ask whether every account can read `path`."""
    if not os.stat(path).st_mode & stat.S_IROTH:
        return False
    while (path := os.path.dirname(path)) != "/":
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True
