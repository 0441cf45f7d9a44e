"""Which applications a chain of programs stands for.

A program of ours that can serve connections has, beside `main()`, a function
`application(arguments, compose)`. It is called in process if the program that the name
leads to is our launcher; anything else is executed.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from pyqmail.control.launchers import LAUNCHER
from pyqmail.errors import PermanentFailure
from pyqmail.programs.run import home_of, module_of
from pyqmail.system.processes import find_program
from pyqmail.ucspi.child import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from pyqmail.ucspi.application import Application, Compose
    from pyqmail.ucspi.enclosure import Needs, NeedsOf


class Chain:
    """Makes applications; `environ` has PATH and QMAILHOME."""

    def __init__(self, environ: Mapping[bytes, bytes]) -> None:
        self._environ = environ
        launcher = os.path.join(home_of(environ), "bin", LAUNCHER)
        self._launchers = {os.path.realpath(launcher), os.path.realpath(sys.argv[0])}

    def compose(self, arguments: Sequence[bytes]) -> Application:
        """Return the application that a chain of programs stands for. Raises Failure."""
        if not arguments:
            raise PermanentFailure(b"no program")
        make = self._maker_of(arguments[0])
        if make is None:
            return Program(arguments)
        return make(arguments[1:], self.compose)

    def needs_of(self, arguments: Sequence[bytes]) -> Needs | None:
        """Return what the application reaches; None if nobody knows, or it executes something.

        Who can tell has, beside `application()`, a function `needs(arguments, needs_of)`.
        """
        tell: Callable[[Sequence[bytes], NeedsOf], Needs | None] | None = None
        if arguments:
            tell = getattr(self.module_of(arguments[0]), "needs", None)
        return None if tell is None else tell(arguments[1:], self.needs_of)

    def module_of(self, name: bytes) -> ModuleType | None:
        """Return the module of the program that `name` leads to, if it is one of ours."""
        path = find_program(name, self._environ)
        if path is None or os.path.realpath(os.fsdecode(path)) not in self._launchers:
            return None
        module = module_of(os.fsdecode(os.path.basename(path)))
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            return None  # the launcher will say so

    def _maker_of(self, name: bytes) -> Callable[[Sequence[bytes], Compose], Application] | None:
        make: Callable[[Sequence[bytes], Compose], Application] | None = getattr(
            self.module_of(name), "application", None
        )
        return make
