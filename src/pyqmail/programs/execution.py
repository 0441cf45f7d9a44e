"""How a program that prepares something ends: it becomes the program it was given."""

from __future__ import annotations

from pyqmail.errors import TransientFailure
from pyqmail.system.errnos import error_text
from pyqmail.system.processes import execute_by_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def become(
    arguments: Sequence[bytes], environ: Mapping[bytes, bytes], program: bytes | None = None
) -> NoReturn:
    """Become `arguments`, or `program` under the name of the first; raise TransientFailure."""
    name = arguments[0] if program is None else program
    try:
        execute_by_name(list(arguments), environ, name)
    except OSError as error:
        raise TransientFailure(b"unable to run " + name + b": " + error_text(error)) from error
