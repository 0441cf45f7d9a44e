"""control/smtproutes_auth: who we are for the relays that ask.

A line is `RELAY LOGIN PASSWORD`, the relay as in smtproutes, with or without
its port. Everything behind the second space is the password.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyqmail.control.files import ControlError, read_list
from pyqmail.control.smtproutes import parse_place
from pyqmail.system.errnos import error_text

if TYPE_CHECKING:
    from pyqmail.control.smtproutes import Relay

NAME = "smtproutes_auth"
PATH = "control/" + NAME
_FIELDS = 3  # of a line
_ANY_PORT = 0


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are for a relay."""

    name: bytes
    password: bytes = field(repr=False)


def find_login(home: str, relay: Relay) -> Login | None:
    """Return who we are for this relay; None: nobody. Raises ControlError.

    A line with the relay's port goes before one without; among equals, the last.
    """
    found = read_logins(home)
    host = relay.host.lower()
    return found.get((host, relay.port)) or found.get((host, _ANY_PORT))


def read_logins(home: str) -> dict[tuple[bytes, int], Login]:
    """Return all logins by host, in small letters, and port. Raises ControlError.

    It is an error if anybody but its owner may read the file.
    """
    _check_mode(home)
    found = {}
    for line in read_list(home, NAME) or ():
        fields = line.split(b" ", _FIELDS - 1)
        if len(fields) != _FIELDS or not all(fields):
            # Not a word of it: it may be a password.
            raise ControlError(PATH, None, b"a line is not RELAY LOGIN PASSWORD")
        place = parse_place(NAME, fields[0], _ANY_PORT)
        found[place.host.lower(), place.port] = Login(fields[1], fields[2])
    return found


def _check_mode(home: str) -> None:
    try:
        mode = os.stat(os.path.join(home, PATH)).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ControlError(PATH, None, b"unable to read: " + error_text(error)) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ControlError(PATH, None, b"others than its owner may read it: chmod 600")
