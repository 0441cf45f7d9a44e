"""qmail-inject - make a message proper and queue it. See qmail-inject(8).

Runs as the user who sends the message; the queue is not his.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import chain

from pyqmail.control.files import ControlError, parse_list, read_text
from pyqmail.control.maps import ConstantMap
from pyqmail.errors import PERMANENT, SUCCESS, Failure, TransientFailure
from pyqmail.message.address import quote_address
from pyqmail.message.envelope import before_nul
from pyqmail.message.header import HeaderReader
from pyqmail.programs.options import UNKNOWN, Options
from pyqmail.programs.run import home_of, run
from pyqmail.queue.client import QueueClient
from pyqmail.reception.author import Author
from pyqmail.reception.defaults import Defaults
from pyqmail.reception.submission import Injection, UnparsableLine
from pyqmail.system import files
from pyqmail.system.standard_input import open_input, pieces_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-inject`."""
    run("qmail-inject", inject)


def inject(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Queue the message on standard input, or print it."""
    return inject_from(open_input(), arguments, environ)


def inject_from(
    message: io.BufferedReader, arguments: Sequence[bytes], environ: Mapping[bytes, bytes]
) -> int:
    """Queue `message`, or print it: everything that a wrong message could cause comes first."""
    try:
        return _inject(message, arguments, environ)
    except UnparsableLine as failure:
        # A line is shown as it is: a field ends it with its own LF, a control file with none.
        os.write(2, b"qmail-inject: fatal: " + failure.text)
        return PERMANENT
    except ControlError as error:
        raise TransientFailure(b"read error") from error


def _inject(
    message: io.BufferedReader, arguments: Sequence[bytes], environ: Mapping[bytes, bytes]
) -> int:
    now = int(time.time())
    pid = os.getpid()
    lists = _read_mailing_lists(environ)
    defaults = Defaults(_enter_home(environ), environ)
    letters = environ.get(b"QMAILINJECT", b"")
    injection = Injection(defaults.completion, Author(environ), letters, lists)
    of_header, printing = _read_options(injection, arguments)
    body_start = _read_header(injection, message)
    reverse_path = before_nul(injection.choose_reverse_path(now, pid))
    pieces = chain(injection.header(now, pid, defaults.id_host), (body_start,), _rest_of(message))
    if printing:
        _print(chain((b"Return-Path: <%b>\n" % quote_address(reverse_path),), pieces))
    else:
        recipients = injection.recipients(of_header=of_header)
        _queue(pieces, reverse_path, recipients, environ)
    return SUCCESS


def _read_options(injection: Injection, arguments: Sequence[bytes]) -> tuple[bool, bool]:
    """Tell `injection` what the arguments say.

    Return whether the recipients in the header count, and whether the message is printed.
    """
    options = Options("qmail-inject", arguments, b"aAhHnNf:")
    source = b"A"
    printing = False
    for letter, value in options:
        if letter == UNKNOWN:
            sys.exit(PERMANENT)
        elif letter == b"f":
            injection.set_reverse_path(value)
        elif letter in b"nN":
            printing = letter == b"n"
        else:
            source = letter
    if source == b"A":
        source = b"a" if options.rest else b"h"
    if source != b"h":
        for address in options.rest:
            injection.add_recipient(address)
    return source != b"a", printing


def _read_header(injection: Injection, message: io.BufferedReader) -> bytes:
    """Tell `injection` what the header section says; return what has been read of the body."""
    fields = HeaderReader(message)
    try:
        for field in fields:
            injection.add_field(field)
    except OSError as error:
        raise TransientFailure(b"read error") from error
    return fields.body_start


def _print(pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            files.write(1, piece)
    except BrokenPipeError:
        return  # whoever reads has seen enough


def _queue(
    pieces: Iterable[bytes],
    reverse_path: bytes,
    recipients: Iterable[bytes],
    environ: Mapping[bytes, bytes],
) -> None:
    queue = QueueClient(environ)
    try:
        for piece in pieces:
            queue.write(piece)
    except Failure:
        queue.fail()
        raise
    queue.commit(reverse_path, recipients)


def _rest_of(message: io.BufferedReader) -> Iterator[bytes]:
    """Yield what is left of the body; its last line ends in LF, whatever the input does."""
    piece = b"\n"
    try:
        for piece in pieces_of(message):
            yield piece
    except OSError as error:
        raise TransientFailure(b"read error") from error
    if not piece.endswith(b"\n"):
        yield b"\n"


def _read_mailing_lists(environ: Mapping[bytes, bytes]) -> ConstantMap:
    path = environ.get(b"QMAILMFTFILE")
    text = None if path is None else read_text("", os.fsdecode(path))
    return ConstantMap(parse_list(text or b""))


def _enter_home(environ: Mapping[bytes, bytes]) -> str:
    home = home_of(environ)
    try:
        os.chdir(home)
    except OSError as error:
        raise TransientFailure(b"internal bug") from error
    return home
