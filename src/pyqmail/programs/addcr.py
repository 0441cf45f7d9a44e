"""addcr - put a CR before every LF. See addcr(1)."""

from __future__ import annotations

from pyqmail.programs.run import run
from pyqmail.ucspi.copying import filter_input
from pyqmail.ucspi.filters import AddCr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.ucspi.application import Application, Compose


def main() -> NoReturn:
    """Run as the command `addcr`."""
    run("addcr", add)


def add(_arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    """Copy descriptor 0 to descriptor 1."""
    return filter_input(AddCr())


def application(_arguments: Sequence[bytes], _compose: Compose) -> Application:
    """Send back what the peer says."""
    from pyqmail.ucspi.wrapping import echo  # noqa: PLC0415  the command needs no event loop

    return echo(AddCr)
