"""date@ - print another host's time. See date@(1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.programs.run import run
from pyqmail.ucspi.conversation import print_visibly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `date@`; what cannot be is said as tcpclient says it."""
    run("tcpclient", print_date)


def print_date(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Print what the daytime server of a host says (RFC 867)."""
    host = arguments[0] if arguments else b"0"
    return print_visibly(host, b"13")
