"""The programs in a home's bin: one small file, `pyqmail`, and a link to it for every name.

The launcher names the interpreter, and where the package and what it needs are
installed; so the interpreter need not look for them (-I -S), which halves the
time a program takes to start. Its home is the folder above its own.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from typing import TYPE_CHECKING, Final

import pyqmail
from pyqmail.control.launchers import LAUNCHER
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterable

_MODE: Final = 0o755
_OPTIONS: Final = b"-IS"
_MAX_FIRST_LINE: Final = 127  # bytes that every Linux reads of a script's first line; execve(2)

_SHELL: Final = b"#!/bin/sh"
_EXEC: Final = b"'''exec' "  # to a shell: exec; to Python: the beginning of a string

# One installed package for each folder that may hold some of them.
_NEEDED: Final = ("typer", "rich", "uvloop", "setproctitle", "dns", "py_landlock")

_TEXT: Final = """\
# Written by `qmailctl setup`. Every program of this folder that is ours is a link to this file.
import os, sys
sys.path += {folders!r}
try:
    from pyqmail.programs.run import launch
except ImportError as error:
    sys.stderr.write(f"{{sys.argv[0]}}: fatal: {{error}}: run qmailctl setup again\\n")
    sys.exit(111)
launch(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
"""


def write_launchers(home: str, names: Iterable[str]) -> None:
    """Put the launcher into bin, and a link to it for each of `names`.

    What the administrator put in the place of a program stays. Links to
    programs that are no more go away.
    """
    folder = os.path.join(home, "bin")
    text = launcher_text(interpreter(), library_folders())
    files.replace_durably(os.path.join(folder, LAUNCHER), text, _MODE)
    wanted = set(names)
    for name in sorted(wanted):
        if not os.path.lexists(os.path.join(folder, name)):
            files.symlink(LAUNCHER, os.path.join(folder, name))
    for name in sorted(set(os.listdir(folder)) - wanted):
        path = os.path.join(folder, name)
        if os.path.islink(path) and os.readlink(path) == LAUNCHER:
            files.unlink(path)
    files.sync_directory(folder)


def interpreter() -> str:
    """Return the path of the interpreter itself, not of a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def interpreter_of(launcher: str) -> str:
    """Return the path of the interpreter that a launcher names. Raises OSError."""
    first, second, *_ = [*files.read_all(launcher).split(b"\n", 2), b""]
    if first == _SHELL:
        return os.fsdecode(shlex.split(os.fsdecode(second.removeprefix(_EXEC)))[0])
    return os.fsdecode(first.removeprefix(b"#!").split(b" ")[0])


def library_folders() -> list[str]:
    """Return the folders that hold this package and what it needs."""
    folders = [os.path.dirname(os.path.dirname(os.path.abspath(pyqmail.__file__)))]
    for name in _NEEDED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            folder = os.path.dirname(spec.origin)
            if spec.submodule_search_locations is not None:
                folder = os.path.dirname(folder)
            if folder not in folders:
                folders.append(folder)
    return folders


def launcher_text(python: str, folders: list[str]) -> bytes:
    """Return the launcher for the interpreter `python`."""
    first = b"#!" + os.fsencode(python) + b" " + _OPTIONS
    if len(first) > _MAX_FIRST_LINE or len(first.split()) > 2:  # noqa: PLR2004  path and options
        first = _shell_preamble(python)
    return first + b"\n" + _TEXT.format(folders=folders).encode()


def _shell_preamble(python: str) -> bytes:
    """Return first lines that a shell executes and Python takes for a string.

    For a path with a blank, or one that is too long: the kernel would cut it.
    """
    path = os.fsencode(shlex.quote(python))
    return _SHELL + b"\n" + _EXEC + path + b" " + _OPTIONS + b" \"$0\" \"$@\"\n' '''"
