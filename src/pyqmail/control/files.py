"""The control files: one line, a number, or a list.

A file that is absent is "not set" (None). A file that is present but empty is
an empty line or an empty list, never the default: an empty `locals` means that
nothing is local. Spaces, tabs and CR at the end of a line do not count; CR,
because an editor that writes CRLF must not make a domain that never matches.

`home` is the path of the home; names are those of qmail-control(5).
"""

from __future__ import annotations

import os

from pyqmail.errors import TransientFailure
from pyqmail.system import errnos, files

BLANKS = b" \t\r\n"  # what is taken off the end of every line
MAX_INTEGER = 2**31 - 1  # the original keeps numbers in a C int


class ControlError(TransientFailure):
    """What the administrator wrote cannot be read: which file, which line, what is wrong.

    `path` is relative to the home. `line` counts from 1; None when the
    file as a whole is meant.
    """

    def __init__(self, path: str, line: int | None, wrong: bytes) -> None:
        place = os.fsencode(path) + (b"" if line is None else b" line %d" % line)
        super().__init__(place + b": " + wrong)
        self.path = path
        self.line = line


def read_line(home: str, name: str) -> bytes | None:
    """Return the first line of control/`name`; None if there is no such file."""
    text = read_text(home, "control/" + name)
    if text is None:
        return None
    return text.partition(b"\n")[0].rstrip(BLANKS)


def read_line_or_me(home: str, name: str, otherwise: bytes | None = None) -> bytes | None:
    """Return the first line of control/`name`, else of control/me, else `otherwise`."""
    line = read_line(home, name)
    if line is None:
        line = read_line(home, "me")
    return otherwise if line is None else line


def read_integer(home: str, name: str, default: int) -> int:
    """Return the number in the first line of control/`name`.

    An absent or empty file means `default`. What is not a number of ASCII
    digits is an error: silence about a typing error costs more than a start
    that fails.
    """
    line = read_line(home, name)
    if not line:
        return default
    if not line.isdigit():
        raise ControlError("control/" + name, 1, b"not a number: " + line[:40])
    digits = line.lstrip(b"0") or b"0"
    # The length first: Python refuses to convert thousands of digits.
    if len(digits) > len(str(MAX_INTEGER)) or int(digits) > MAX_INTEGER:
        raise ControlError("control/" + name, 1, b"number too large: " + line[:40])
    return int(digits)


def read_list(home: str, name: str, folder: str = "control") -> list[bytes] | None:
    """Return the entries of the list `folder`/`name`; None if there is no such file."""
    text = read_text(home, folder + "/" + name)
    return None if text is None else parse_list(text)


def parse_list(text: bytes) -> list[bytes]:
    """Return the lines of `text` that are neither empty nor comments.

    A comment is a line whose first byte is `#`; a space before it makes it an
    entry.
    """
    lines = [line.rstrip(BLANKS) for line in text.split(b"\n")]
    entries = [line for line in lines if line and line[0] not in b"#\0"]
    if b"\0" not in text:
        return entries
    # The original keeps the list NUL-separated: a NUL ends an entry as a line does.
    return [part for line in entries for part in line.split(b"\0")]


def read_list_or_me(home: str, name: str) -> list[bytes] | None:
    """Return the list control/`name`; if that file is absent, the one entry of control/me."""
    entries = read_list(home, name)
    if entries is not None:
        return entries
    me = read_line(home, "me")
    return None if me is None else [me]


def read_text(home: str, path: str) -> bytes | None:
    """Return the contents of `home`/`path`; None if it is absent."""
    try:
        return files.read_all(os.path.join(home, path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ControlError(path, None, b"unable to read: " + errnos.error_text(error)) from error
