"""mconnect - talk to an SMTP server by hand. See mconnect(1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.errors import SUCCESS
from pyqmail.programs.run import run
from pyqmail.ucspi.client import NobodyThereError
from pyqmail.ucspi.conversation import open_connection, talk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `mconnect`; what cannot be is said as tcpclient says it."""
    run("tcpclient", converse)


def converse(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Connect to host and port; carry lines there, and what comes back."""
    host, port = [*arguments[:2], *(b"0", b"25")[len(arguments) :]]
    try:
        with open_connection(host, port) as connection:
            talk(connection)
    except NobodyThereError as error:
        return error.exit_code
    return SUCCESS
