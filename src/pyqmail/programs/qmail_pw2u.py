"""qmail-pw2u - build address assignments from a password file. See qmail-pw2u(8).

Anybody may run it: it reads standard input and users/, and writes standard
output.
"""

from __future__ import annotations

import os

from pyqmail.control import passwd
from pyqmail.control.files import ControlError, read_list
from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.errors import PERMANENT, TransientFailure
from pyqmail.programs.options import Options
from pyqmail.programs.run import home_of, run
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

_CHUNK = 8192  # bytes; how much is read and written at once


def main() -> NoReturn:
    """Run as the command `qmail-pw2u`."""
    run("qmail-pw2u", convert)


def convert(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Turn the password file on standard input into users/assign on standard output."""
    choices = passwd.Choices()
    for letter, value in Options("qmail-pw2u", arguments, b"/ohHuUc:C"):
        if not _choose(choices, letter, value):
            return PERMANENT
    home = home_of(environ)
    if not os.path.isdir(home):
        raise TransientFailure(b"unable to chdir")
    _read_controls(home, choices)
    writer = passwd.AssignmentWriter(choices)
    output = _Output()
    for line in _lines_of_input(output):
        output.put(writer.account(line))
    if not writer.found_alias:
        raise TransientFailure(b"unable to find alias user")
    for line in _read_extra(home, "subusers").split(b"\n"):
        output.put(writer.subuser(line))
    output.put(_read_extra(home, "append"))
    output.put(b".\n")
    output.flush()
    return 0


def _choose(choices: passwd.Choices, letter: bytes, value: bytes) -> bool:
    """Take one option; return whether it is one."""
    homes = {b"o": passwd.SKIP_MISSING, b"h": passwd.STOP_AT_MISSING, b"H": passwd.HOMES_UNSEEN}
    if letter in homes:
        choices.homes = homes[letter]
    elif letter in b"uU":
        choices.upper_case = letter == b"u"
    elif letter in b"cC":
        choices.break_character = value[:1]
    elif letter == b"/":
        choices.dash = b"-/"
    else:
        return False
    return True


def _read_controls(home: str, choices: passwd.Choices) -> None:
    try:
        included = read_list(home, "include", "users")
        excluded = read_list(home, "exclude", "users")
        mail_names = read_list(home, "mailnames", "users")
    except ControlError as error:
        raise TransientFailure(b"unable to read controls") from error
    choices.included = None if included is None else ConstantMap(included)
    choices.excluded = None if excluded is None else ConstantMap(excluded)
    choices.mail_names = None if mail_names is None else ColonMap(mail_names)


def _read_extra(home: str, name: str) -> bytes:
    """Return the contents of users/`name`, empty if it is absent."""
    try:
        descriptor = files.open_to_read(os.path.join(home, "users", name))
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise TransientFailure(b"unable to read controls") from error
    try:
        return files.read_rest(descriptor)
    except OSError as error:
        raise TransientFailure(b"unable to read input") from error
    finally:
        os.close(descriptor)


def _lines_of_input(output: _Output) -> Iterator[bytes]:
    """Yield the lines of standard input; what was said so far is written before each read.

    So somebody who types a password file sees an answer, and a failure later
    on leaves what was already certain on standard output.
    """
    rest = b""
    while True:
        output.flush()
        try:
            piece = os.read(0, _CHUNK)
        except OSError as error:
            raise TransientFailure(b"unable to read input") from error
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    yield rest


class _Output:
    """Standard output, in large writes."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def put(self, text: bytes) -> None:
        self._waiting += text
        if len(self._waiting) > _CHUNK:
            self.flush()

    def flush(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(1, self._waiting)]
        except OSError as error:
            raise TransientFailure(b"unable to write output") from error
