"""http@ - print a web page. See http@(1)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pyqmail.errors import SUCCESS
from pyqmail.programs.run import run
from pyqmail.ucspi.client import NobodyThereError
from pyqmail.ucspi.conversation import HttpBody, answers
from pyqmail.ucspi.copying import write_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `http@`; what cannot be is said as tcpclient says it."""
    run("tcpclient", print_page)


def print_page(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Print the body of a page that a server gives by HTTP/1.0."""
    host, page, port = [*arguments[:3], *(b"0", b"", b"80")[len(arguments) :]]
    request = b"GET /%b HTTP/1.0\nHost: %b:%b\n\n" % (page, host, port)
    body = HttpBody()
    with suppress(NobodyThereError):  # exit code 0, as ever: it was that of a pipe's last program
        for data in answers(host, port, request):
            write_all(1, body.feed(data))
        write_all(1, body.end())
    return SUCCESS
