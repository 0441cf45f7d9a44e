"""finger@ - ask about a user of another host. See finger@(1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.programs.run import run
from pyqmail.ucspi.conversation import print_visibly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `finger@`; what cannot be is said as tcpclient says it."""
    run("tcpclient", print_user)


def print_user(arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Print what the finger server of a host says about a user (RFC 1288)."""
    host, user = [*arguments[:2], *(b"0", b"")[len(arguments) :]]
    return print_visibly(host, b"79", user + b"\n")
