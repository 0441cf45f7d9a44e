"""sendmail - what other programs expect to find where a mail server is. See sendmail(8).

Under the names `mailq` and `newaliases` too. Runs as the user who calls it.
Sending is the work of qmail-inject, to which the options are translated.
"""

from __future__ import annotations

import os
import sys

from pyqmail.control.launchers import is_ours
from pyqmail.errors import PERMANENT, SUCCESS, PermanentFailure, TransientFailure
from pyqmail.message.address import split_address
from pyqmail.programs.options import UNKNOWN, Options
from pyqmail.programs.qmail_inject import inject_from
from pyqmail.programs.run import call, home_of, run
from pyqmail.system.processes import execute
from pyqmail.system.standard_input import open_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Mapping, Sequence
    from typing import Final, NoReturn

# The options of sendmail and of those who took its place. Most say how a
# message is to be handled, and are taken without a word: qmail has one way.
_OPTIONS: Final = b"tf:r:F:b:q::vimxUGe:o:p:B:N:R:V:O:L:X:C:E::J::A::"
_USAGE: Final = (
    b"sendmail: usage: sendmail [ -t ] [ -fsender ] [ -Fname ] [ -bp ] [ -bs ] [ arg ... ]\n"
)
# What a session on standard input is told about its client.
_SESSION: Final = {
    b"RELAYCLIENT": b"",
    b"DATABYTES": b"0",
    b"PROTO": b"TCP",
    b"TCPLOCALIP": b"127.0.0.1",
    b"TCPLOCALHOST": b"localhost",
    b"TCPREMOTEIP": b"127.0.0.1",
    b"TCPREMOTEHOST": b"localhost",
    b"TCPREMOTEINFO": b"sendmail-bs",
}
# They would replace what -f says about the author.
_AUTHOR: Final = (b"QMAILNAME", b"MAILNAME", b"NAME", b"QMAILHOST", b"MAILHOST")


def main() -> NoReturn:
    """Run as the command `sendmail`, `mailq` or `newaliases`."""
    run("sendmail", sendmail)


def sendmail(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Do what the arguments ask for with the message on standard input."""
    return sendmail_from(open_input(), arguments, environ)


def sendmail_from(
    message: io.BufferedReader, arguments: Sequence[bytes], environ: Mapping[bytes, bytes]
) -> int:
    """Do what `arguments` ask for with `message`."""
    home = _enter_home(environ)
    request = _Request(environ)
    options = Options("sendmail", arguments, _OPTIONS)
    for letter, value in options:
        request.add(letter, value)
    name = os.path.basename(sys.argv[0])
    if name == "mailq":
        _become(b"qmail-qread", [], environ)
    if name == "newaliases" or request.mode == b"i":
        raise PermanentFailure(b"please use fastforward/newaliases instead")
    if request.is_of_no_message(options.rest):
        return SUCCESS
    arguments = request.injection_arguments(options.rest)
    if not is_ours(home, "qmail-inject"):
        _become(b"qmail-inject", arguments, request.environ)
    return call(
        "qmail-inject", lambda *given: inject_from(message, *given), arguments, request.environ
    )


def _enter_home(environ: Mapping[bytes, bytes]) -> str:
    home = home_of(environ)
    try:
        os.chdir(home)
    except OSError as error:
        raise TransientFailure(b"unable to switch to qmail home directory") from error
    return home


def _become(name: bytes, arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Become the program `name` of the home, which is the working directory."""
    path = b"bin/" + name
    try:
        execute(path, [path, *arguments], environ)
    except OSError as error:
        raise TransientFailure(b"unable to run " + name) from error


class _Request:
    """What the options ask for."""

    __slots__ = ("_of_header", "_of_queue", "_reverse_path", "environ", "mode")

    def __init__(self, environ: Mapping[bytes, bytes]) -> None:
        self.environ = dict(environ)
        self.mode = b"m"
        self._of_header = False
        self._of_queue = False
        self._reverse_path: bytes | None = None

    def add(self, letter: bytes, value: bytes) -> None:
        """Take one option; it may be the last."""
        if letter == UNKNOWN:
            _say_usage()
        elif letter == b"t":
            self._of_header = True
        elif letter in b"fr":
            self._reverse_path = value
        elif letter == b"F":
            self.environ[b"MAILNAME"] = value
        elif letter == b"q":
            self._of_queue = True
        elif letter == b"b":
            self._choose_mode(value[:1])

    def _choose_mode(self, mode: bytes) -> None:
        if mode == b"p":
            _become(b"qmail-qread", [], self.environ)
        if mode == b"s":
            self._hold_session()
        if mode not in (b"m", b"i", b"d", b"v"):
            _say_usage()
        self.mode = mode

    def _hold_session(self) -> NoReturn:
        if b"PROTO" not in self.environ:
            self.environ.update(_SESSION)
        _become(b"qmail-smtpd", [], self.environ)

    def is_of_no_message(self, recipients: Sequence[bytes]) -> bool:
        """Is there nothing to do? No daemon is wanted, none starts the queue, none verifies."""
        only_queue = self._of_queue and not self._of_header and not recipients
        return only_queue or self.mode in (b"d", b"v")

    def injection_arguments(self, recipients: Sequence[bytes]) -> list[bytes]:
        """Return the arguments for qmail-inject, and prepare its environment."""
        arguments = [b"-H" if self._of_header else b"-a"]
        if self._reverse_path is not None:
            # Callers mean nobody by <>; to qmail-inject that is a strange local part.
            reverse_path = b"" if self._reverse_path == b"<>" else self._reverse_path
            arguments += [b"-f", reverse_path]
            if reverse_path:
                self._set_author(reverse_path)
        return [*arguments, b"--", *recipients]

    def _set_author(self, address: bytes) -> None:
        for name in _AUTHOR:
            self.environ.pop(name, None)
        user, host = split_address(address)
        self.environ[b"QMAILUSER"] = user
        if host is not None:
            self.environ[b"QMAILHOST"] = host


def _say_usage() -> NoReturn:
    os.write(2, _USAGE)
    sys.exit(PERMANENT)
