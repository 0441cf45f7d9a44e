"""What a home offers on the network, and where: the services of `qmailctl run`."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.system.errnos import error_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOOPBACK: Final = "127.0.0.1"
ME: Final = "ME"  # in a program: the name of this host

_EVERYWHERE: Final = "0"  # what tcpserver calls all addresses of the machine
_OFF: Final = "off"
_MAX_PORT: Final = 65535
_ANY_PORT: Final = 0
_DIGITS: Final = len(str(_MAX_PORT))


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its chain of programs under tcpserver, and the variables they find."""

    name: str
    usual_port: int  # on loopback
    program: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


_POP3: Final = ("qmail-popup", ME, "checkpassword", "qmail-pop3d", "Maildir")
_SUBMISSION: Final = ("qmail-smtpd", ME, "checkpassword", "true")

# The ports are those of the standards plus 2000 (25, 587, 465, 110, 995):
# they need no rights.
SERVICES: Final = {
    service.name: service
    for service in (
        Service("smtp", 2525, ("qmail-smtpd",)),
        Service("submission", 2587, _SUBMISSION, {"SMTPAUTH": "!"}),
        Service("smtps", 2465, _SUBMISSION, {"SMTPAUTH": "!", "SMTPS": ""}),
        Service("pop3", 2110, _POP3),
        Service("pop3s", 2995, _POP3, {"POP3S": ""}),
    )
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service listens: an address, or a name of one, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Can only this machine come here?"""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def choose_places(options: Sequence[str]) -> dict[str, Place]:
    """Return where each service shall be, by `NAME=HOST:PORT` and `NAME=off`.

    A service that is not named is where it usually is. Raises PermanentFailure.
    """
    places = {name: Place(LOOPBACK, service.usual_port) for name, service in SERVICES.items()}
    for option in options:
        name, _, text = option.partition("=")
        if name not in SERVICES:
            known = ", ".join(SERVICES)
            raise PermanentFailure(os.fsencode(f"no service {name}: there are {known}"))
        if text == _OFF:
            places.pop(name, None)
        else:
            places[name] = _parse(name, text)
    return places


def _parse(name: str, text: str) -> Place:
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    is_number = port.isascii() and port.isdigit() and len(port) <= _DIGITS
    if not host or not is_number or int(port) > _MAX_PORT:
        example = f"{name}={LOOPBACK}:{_ANY_PORT}"
        raise PermanentFailure(
            os.fsencode(f"not HOST:PORT or {_OFF}: {text}: write --listen {example}")
        )
    return Place(host, int(port))


class Reservation:
    """A place that nobody else can take until tcpserver has it. Raises TransientFailure.

    Two sockets may be bound to the same port as long as both allow it and neither
    listens; tcpserver's is the one that will. So any free port is chosen
    here, and an occupied one is found before anything is started.
    """

    def __init__(self, name: str, place: Place) -> None:
        try:
            self._socket = _bind(place)
        except OSError as error:
            raise no_room(name, place, _reason(error)) from error
        host, port, *_ = self._socket.getsockname()
        self.place = Place(place.host if place.host == _EVERYWHERE else host, port)

    def release(self) -> None:
        """Leave the port to who listens there."""
        self._socket.close()


def _bind(place: Place) -> socket.socket:
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    # IPv4 first, as ever.
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no such address"
    return error_text(error).decode()


def no_room(name: str, place: Place, reason: str) -> TransientFailure:
    """Return the failure of a service that cannot be there, with what to do."""
    free = Place(place.host, _ANY_PORT)
    return TransientFailure(
        os.fsencode(
            f"{name} cannot listen on {place}: {reason}: name another place, "
            f"any free port (--listen {name}={free}) or none (--listen {name}={_OFF})"
        )
    )
