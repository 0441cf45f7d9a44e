"""delcr - take a CR away before every LF. See delcr(1)."""

from __future__ import annotations

from pyqmail.programs.run import run
from pyqmail.ucspi.copying import filter_input
from pyqmail.ucspi.filters import DelCr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.ucspi.application import Application, Compose


def main() -> NoReturn:
    """Run as the command `delcr`."""
    run("delcr", delete)


def delete(_arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Copy descriptor 0 to descriptor 1."""
    return filter_input(DelCr())


def application(_arguments: Sequence[bytes], _compose: Compose) -> Application:
    """Send back what the peer says."""
    from pyqmail.ucspi.wrapping import echo  # noqa: PLC0415  the command needs no event loop

    return echo(DelCr)
