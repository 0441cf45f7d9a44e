"""Telling a service manager that the home is ready, or stopping; sd_notify(3)."""

from __future__ import annotations

import socket

from pyqmail.home.children import say

READY = b"READY=1"
STOPPING = b"STOPPING=1"


def notify(address: str, state: bytes) -> None:
    """Send `state` to the socket that NOTIFY_SOCKET names; to nobody if it is empty.

    The home runs on if nobody hears it.
    """
    if not address:
        return
    # `@` stands for the NUL that begins a name which is in no folder.
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        try:
            speaker.sendto(state, name)
        except OSError as error:
            say(f"unable to tell {address} {state.decode()}: {error.strerror}")
