"""tcprulescheck - say what tcpserver would do with a peer. See tcprulescheck(1)."""

from __future__ import annotations

import os

from pyqmail.errors import PERMANENT, SUCCESS
from pyqmail.programs.run import run
from pyqmail.ucspi.rules import explain, peer_in, read_rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `tcprulescheck`."""
    run("tcprulescheck", check)


def check(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Print the rule for the peer that the environment describes."""
    if not arguments:
        os.write(2, b"tcprulescheck: usage: tcprulescheck rules.cdb\n")
        return PERMANENT
    rule = read_rule(os.fsdecode(arguments[0]), *peer_in(environ))
    os.write(1, explain(rule))
    return SUCCESS
