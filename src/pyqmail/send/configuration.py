"""What the control files say to qmail-send; qmail-send(8) names them."""

from __future__ import annotations

import os
from typing import Final

from pyqmail.control.bounce_format import MULTIPART, read_bounce_format
from pyqmail.control.concurrency import read_concurrency
from pyqmail.control.files import (
    ControlError,
    read_integer,
    read_line,
    read_line_or_me,
    read_list,
    read_list_or_me,
)
from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.queue.store import CHANNELS
from pyqmail.send import log
from pyqmail.send.bounces import BounceSettings
from pyqmail.send.core import Settings
from pyqmail.send.routing import Routing

QUEUE_LIFETIME: Final = 604800  # seconds: a week


def read_settings(home: str) -> Settings:
    """Return the limits of scheduling."""
    concurrency = {name: read_concurrency(home, name) for name in CHANNELS}
    return Settings(concurrency, read_integer(home, "queuelifetime", QUEUE_LIFETIME))


def read_bounce_settings(home: str) -> BounceSettings:
    """Return in whose name, to whom and in which form bounces are sent."""
    bouncefrom = read_line(home, "bouncefrom")
    doublebounceto = read_line(home, "doublebounceto")
    return BounceSettings(
        b"MAILER-DAEMON" if bouncefrom is None else bouncefrom,
        _host(home, "bouncehost"),
        (b"postmaster" if doublebounceto is None else doublebounceto)
        + b"@"
        + _host(home, "doublebouncehost"),
        is_multipart=read_bounce_format(home) == MULTIPART,
        bouncemaxbytes=read_integer(home, "bouncemaxbytes", 0),
    )


def read_routing(home: str) -> Routing:
    """Return the rules that tell local from remote; raise ControlError where they are broken."""
    return Routing(
        _read_locals(home),
        ColonMap(read_list(home, "virtualdomains") or ()),
        ConstantMap(read_list(home, "percenthack") or ()),
        _host(home, "envnoathost"),
    )


def reread_routing(home: str, present: Routing) -> Routing | bytes:
    """Read locals and virtualdomains again; return the line for the log if that fails."""
    if not os.access(home, os.X_OK):
        return log.REREAD_NO_HOME
    line = log.REREAD_LOCALS
    try:
        local_domains = _read_locals(home)
        line = log.REREAD_VIRTUALDOMAINS
        virtualdomains = ColonMap(read_list(home, "virtualdomains") or ())
    except ControlError as error:
        return line + b": " + error.text
    return Routing(local_domains, virtualdomains, present.percenthack, present.envnoathost)


def _read_locals(home: str) -> ConstantMap:
    domains = read_list_or_me(home, "locals")
    if domains is None:
        raise ControlError("control/locals", None, b"missing, and control/me too")
    return ConstantMap(domains)


def _host(home: str, name: str) -> bytes:
    # The original's answer to a home without control/me: the name of the file.
    return read_line_or_me(home, name, name.encode()) or b""
