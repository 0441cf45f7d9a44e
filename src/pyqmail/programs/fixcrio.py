"""fixcrio - put a CR before every LF that has none, both ways. See fixcrio(1)."""

from __future__ import annotations

import os

from pyqmail.errors import PERMANENT, PermanentFailure
from pyqmail.programs.execution import become
from pyqmail.programs.run import run
from pyqmail.ucspi.copying import Observed, run_between
from pyqmail.ucspi.filters import FixCr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.ucspi.application import Application, Compose
    from pyqmail.ucspi.enclosure import Needs, NeedsOf

_USAGE = b"fixcrio: usage: fixcrio program [ arg ... ]"


def main() -> NoReturn:
    """Run as the command `fixcrio`."""
    run("fixcrio", run_fixed)


def run_fixed(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become the program, with fixed line ends on descriptors 0 and 1."""
    if arguments:
        run_between(lambda _pid: (_fixed(FixCr()), _fixed(FixCr())), become, arguments, environ)
    os.write(2, _USAGE + b"\n")
    return PERMANENT


def _fixed(filter_: FixCr) -> Observed:
    return Observed(filter_.feed, filter_.end)


def application(arguments: Sequence[bytes], compose: Compose) -> Application:
    """Return the application of the rest of the chain, behind fixed line ends."""
    from pyqmail.ucspi.wrapping import filtered  # noqa: PLC0415  the command needs no event loop

    if not arguments:
        raise PermanentFailure(_USAGE)
    return filtered(compose(arguments), FixCr)


def needs(arguments: Sequence[bytes], needs_of: NeedsOf) -> Needs | None:
    """Return what the rest of the chain needs."""
    return needs_of(arguments)
