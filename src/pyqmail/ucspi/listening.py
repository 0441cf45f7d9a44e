"""A socket that listens."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure
from pyqmail.system.errnos import error_text

if TYPE_CHECKING:
    from collections.abc import Callable

ANY: Final = "::"  # every address of the machine, of both families


def listen(  # noqa: PLR0913  all of it is the administrator's choice
    address: str,
    port: int,
    backlog: int,
    *,
    only_v4: bool = False,
    only_v6: bool = False,
    zone: str = "",
) -> socket.socket:
    """Return a socket that listens there, port 0 being any free one. Raises TransientFailure.

    ANY stands for IPv4 as well, and for IPv4 alone where there is no IPv6.
    """
    v6 = ":" in address and not (only_v4 and address == ANY)
    listener = _socket_of(v6=v6, may_fall_back=address == ANY and not only_v6)
    v6 = listener.family == socket.AF_INET6
    if address == ANY and not v6:
        address = "0.0.0.0"  # noqa: S104  that is what was asked for
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if v6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6 or address != ANY)
        _try(b"bind", lambda: listener.bind(_name(address, port, zone)))
        _try(b"listen", lambda: listener.listen(backlog))
        listener.settimeout(0)
    except BaseException:
        listener.close()
        raise
    return listener


def _socket_of(*, v6: bool, may_fall_back: bool) -> socket.socket:
    try:
        return socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        if v6 and may_fall_back:
            return _socket_of(v6=False, may_fall_back=False)
        raise TransientFailure(b"unable to create socket: " + error_text(error)) from error


def _name(address: str, port: int, zone: str) -> tuple[str, int]:
    return (f"{address}%{zone}" if zone else address), port


def _try(what: bytes, action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        raise TransientFailure(b"unable to " + what + b": " + error_text(error)) from error
