"""The control files that a home begins with, made from the host's name.

config-fast(8) and `qmailctl setup` write the same five.
"""

from __future__ import annotations

import os

from pyqmail.control.files import read_list, read_text
from pyqmail.system import files

_MODE = 0o644


def default_domain(host: bytes) -> bytes:
    """Return what completes an address without a dot: `host` less its first label.

    A name of two labels or one is kept whole: nobody wants mail to `joe@org`.
    """
    labels = host.split(b".")
    return b".".join(labels[1:]) if len(labels) > 2 else host  # noqa: PLR2004


def plus_domain(host: bytes) -> bytes:
    """Return what completes an address that ends in a plus sign: the last two labels."""
    return b".".join(host.split(b".")[-2:])


def write_line(home: str, name: str, line: bytes) -> None:
    """Make `line` the contents of control/`name`."""
    files.replace_durably(_path(home, name), line + b"\n", _MODE)


def write_list(home: str, name: str, entries: list[bytes]) -> None:
    """Make `entries` the lines of control/`name`."""
    text = b"".join(entry + b"\n" for entry in entries)
    files.replace_durably(_path(home, name), text, _MODE)


def add_entry(home: str, name: str, entry: bytes) -> None:
    """Add the line `entry` to control/`name`, unless it is there."""
    if entry.lower() in [known.lower() for known in read_list(home, name) or ()]:
        return
    text = read_text(home, "control/" + name) or b""
    if text and not text.endswith(b"\n"):
        text += b"\n"
    files.replace_durably(_path(home, name), text + entry + b"\n", _MODE)


def is_set(home: str, name: str) -> bool:
    """Return whether control/`name` exists."""
    return os.path.lexists(_path(home, name))


def _path(home: str, name: str) -> str:
    return os.path.join(home, "control", name)
