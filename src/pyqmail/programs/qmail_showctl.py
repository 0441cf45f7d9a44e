"""qmail-showctl - say how a home is configured. See qmail-showctl(8).

Anybody may run it; it reads control/.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pyqmail.control.description import describe_controls
from pyqmail.control.files import ControlError
from pyqmail.control.roles import roles_of
from pyqmail.delivery.local import FORBIDDEN_MODE
from pyqmail.delivery.users import BREAK
from pyqmail.errors import SUCCESS, TRANSIENT
from pyqmail.programs.run import home_of, run
from pyqmail.protocol.spawn import TWO_BYTE_SLOTS
from pyqmail.queue.layout import SPLIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

    from pyqmail.control.roles import Roles


def main() -> NoReturn:
    """Run as the command `qmail-showctl`."""
    run("qmail-showctl", show)


def show(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Print what every control file says; complaints go to standard output too."""
    home = home_of(environ)
    out = sys.stdout.buffer
    if not os.path.isdir(home):
        out.write(b"Oops! Unable to chdir to " + os.fsencode(home) + b".\n")
        return TRANSIENT
    out.writelines(_introduction(home, roles_of(home)))
    try:
        out.writelines(describe_controls(home))
    except ControlError:
        out.write(b"Oops! Trouble reading control/me.")
        return TRANSIENT
    except OSError as error:
        out.write(_no_folder(error))
        return TRANSIENT
    return SUCCESS


def _introduction(home: str, roles: Roles) -> Iterator[bytes]:
    """Yield what holds for the whole home."""
    yield b"qmail home directory: " + os.fsencode(home) + b".\n"
    yield b"user-ext delimiter: " + BREAK + b".\n"
    yield b"paternalism (in decimal): %d.\n" % FORBIDDEN_MODE
    yield b"silent concurrency limit: %d.\n" % TWO_BYTE_SLOTS
    yield b"subdirectory split: %d.\n" % SPLIT
    users = (
        roles.alias,
        roles.qmaild,
        roles.qmaill,
        roles.owner,
        roles.qmailp,
        roles.qmailq,
        roles.qmailr,
        roles.qmails,
    )
    yield b"user ids: " + b", ".join(b"%d" % user.uid for user in users) + b".\n"
    yield b"group ids: %d, %d.\n" % (roles.nofiles_group, roles.qmail_group)


def _no_folder(error: OSError) -> bytes:
    if isinstance(error, PermissionError) and os.access(os.fsdecode(error.filename), os.X_OK):
        return b"Oops! Unable to open current directory.\n"
    return b"Oops! Unable to chdir to control.\n"
