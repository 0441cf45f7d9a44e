"""The control files that a home begins with, made from the host's name.

config-fast(8), config(8) and `qmailctl setup` write the same five.
"""

from __future__ import annotations

import os

from pyqmail.control.files import BLANKS, read_list, read_text
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.system import errnos, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MODE = 0o644
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
_MAX_HOST = 255  # bytes; RFC 5321 §4.5.3.1.2


def require_host(host: bytes) -> None:
    """Raise PermanentFailure unless `host` can be the name of a host (RFC 1123 §2.1).

    `_` is let through: hosts have been called so.
    """
    if not host.isascii():
        raise PermanentFailure(
            b"not a host name: " + host + b": write it in its ASCII form, which begins with xn--"
        )
    labels = host.split(b".")
    if len(host) > _MAX_HOST or not all(label and not label.strip(_LETTERS) for label in labels):
        raise PermanentFailure(b"not a host name: " + host)


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
    write_list(home, name, [line])


def write_list(home: str, name: str, entries: Iterable[bytes]) -> None:
    """Make `entries` the lines of control/`name`."""
    _write(home, name, b"".join(entry + b"\n" for entry in entries))


def add_entry(home: str, name: str, entry: bytes) -> None:
    """Add the line `entry` to control/`name`, unless it is there; its mode becomes 0644."""
    text = read_text(home, "control/" + name) or b""
    if entry.lower() not in [known.lower() for known in read_list(home, name) or ()]:
        if text and not text.endswith(b"\n"):
            text += b"\n"
        text += entry + b"\n"
    _write(home, name, text)


def remove_entries(home: str, name: str, is_meant: Callable[[bytes], bool]) -> None:
    """Take the lines of control/`name` out that `is_meant` says yes to, in lower case."""
    text = read_text(home, "control/" + name)
    if text is None:
        return
    lines = text.split(b"\n")
    kept = [line for line in lines if not is_meant(line.rstrip(BLANKS).lower())]
    if kept != lines:
        _write(home, name, b"\n".join(kept))


def is_set(home: str, name: str) -> bool:
    """Return whether control/`name` exists."""
    return os.path.lexists(_path(home, name))


def _write(home: str, name: str, text: bytes) -> None:
    try:
        files.replace_durably(_path(home, name), text, _MODE)
    except OSError as error:
        place = os.fsencode(_path(home, name))
        reason = errnos.error_text(error)
        raise TransientFailure(b"unable to write " + place + b": " + reason) from error


def _path(home: str, name: str) -> str:
    return os.path.join(home, "control", name)
