"""recordio - write down what a server and its peer say. See recordio(1).

What it writes on descriptor 2 holds whatever passes, passwords too.
"""

from __future__ import annotations

import os

from pyqmail.errors import PERMANENT, PermanentFailure
from pyqmail.programs.execution import become
from pyqmail.programs.run import run
from pyqmail.ucspi.copying import Observed, run_between, write_all
from pyqmail.ucspi.filters import RECORD_SIZE, recorded, recorded_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.ucspi.application import Application, Compose
    from pyqmail.ucspi.enclosure import Needs, NeedsOf

_USAGE = b"recordio: usage: recordio program [ arg ... ]"


def main() -> NoReturn:
    """Run as the command `recordio`."""
    run("recordio", run_recorded)


def run_recorded(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Become the program, with a recorder on descriptors 0 and 1."""
    if arguments:
        run_between(
            lambda pid: (_recorder(pid, b"<"), _recorder(pid, b">")), become, arguments, environ
        )
    os.write(2, _USAGE + b"\n")
    return PERMANENT


def _recorder(pid: int, direction: bytes) -> Observed:
    def record(data: bytes) -> bytes:
        write_all(2, recorded(data, pid, direction))
        return data

    def finish() -> bytes:
        write_all(2, recorded_end(pid, direction))
        return b""

    return Observed(record, finish, RECORD_SIZE)


def application(arguments: Sequence[bytes], compose: Compose) -> Application:
    """Return the application of the rest of the chain, recorded."""
    from pyqmail.ucspi.wrapping import recording  # noqa: PLC0415  the command needs no event loop

    if not arguments:
        raise PermanentFailure(_USAGE)
    return recording(compose(arguments), lambda text: write_all(2, text))


def needs(arguments: Sequence[bytes], needs_of: NeedsOf) -> Needs | None:
    """Return what the rest of the chain needs."""
    return needs_of(arguments)
