"""Which home a command of qmailctl is about, and with whose rights it looks there."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pyqmail.control.roles import leave_root
from pyqmail.errors import PermanentFailure
from pyqmail.home.ownership import require_home
from pyqmail.programs.run import home_of

Home = Annotated[
    str | None,
    typer.Option("--home", metavar="DIR", help="The home; else the one that QMAILHOME names."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def path_of(option: str | None) -> str:
    """Return the path of the home that an option, or the environment, names."""
    home = home_of(os.environb) if option is None else option
    if not home:  # a shell variable that was not set, surely: not the working directory
        raise PermanentFailure(b"the path of the home is empty")
    # Without links, as the launchers name it: users/assign has whole paths.
    return os.path.realpath(home)


def path_of_new(option: str | None) -> str:
    """Return the path of a home to make; where root gives a folder away, no link must lead."""
    home = path_of(option)
    named = os.path.abspath(option if option is not None else home)
    if os.path.islink(named):
        raise PermanentFailure(os.fsencode(f"{named} is a link: name the folder it leads to"))
    return home


def visit(option: str | None) -> str:
    """Return the path of a home to look at, with the rights for it and no more."""
    home = path_of(option)
    require_home(home)
    leave_root(home)
    return home
