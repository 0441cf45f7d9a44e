"""Which programs in a home's bin are ours.

Every program of ours in bin is a symbolic link to one small file, `pyqmail`,
that starts the interpreter. Who is about to start a program asks here: if it
is ours, it can be called in process; if somebody put another program in its
place, that one is executed.
"""

from __future__ import annotations

import os

LAUNCHER = "pyqmail"


def is_ours(home: str, name: str) -> bool:
    """Return whether the program `name` of this home is ours; an absent one is."""
    path = os.path.join(home, "bin", name)
    try:
        return os.path.basename(os.readlink(path)) == LAUNCHER
    except FileNotFoundError:
        return True
    except OSError:  # not a link, or not to be looked at: leave it to exec to say why
        return False
