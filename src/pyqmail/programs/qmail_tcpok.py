"""qmail-tcpok - forget which hosts did not answer; see qmail-tcpok(8).

Runs as root or qmailr; locks and clears lock/tcpto of the queue.
"""

from __future__ import annotations

from pyqmail.programs.run import home_of, run
from pyqmail.queue.tcpto import clear_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `qmail-tcpok`."""
    run("qmail-tcpok", clear)


def clear(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Clear the table."""
    clear_table(home_of(environ))
    return 0
