"""tcpcat - print what a server says. See tcpcat(1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.errors import SUCCESS
from pyqmail.programs.run import run
from pyqmail.ucspi.client import NobodyThereError
from pyqmail.ucspi.conversation import open_connection, read
from pyqmail.ucspi.copying import write_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `tcpcat`; what cannot be is said as tcpclient says it."""
    run("tcpclient", print_raw)


def print_raw(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Print all that the server at a host and port says, as it is."""
    host, port = [*arguments[:2], *(b"0", b"17")[len(arguments) :]]
    try:
        with open_connection(host, port) as connection:
            while data := read(connection.fileno()):
                write_all(1, data)
    except NobodyThereError as error:
        return error.exit_code
    return SUCCESS
