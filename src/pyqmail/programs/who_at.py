"""who@ - print who is on another host. See who@(1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.programs.run import run
from pyqmail.ucspi.conversation import print_visibly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `who@`; what cannot be is said as tcpclient says it."""
    run("tcpclient", print_users)


def print_users(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Print what the active users server of a host says (RFC 866)."""
    host = arguments[0] if arguments else b"0"
    return print_visibly(host, b"11")
