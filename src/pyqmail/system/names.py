"""Names and addresses of hosts, as the machine's own resolver knows them: gethostbyaddr(3).

For programs that ask a few questions and may wait for each answer.
"""

from __future__ import annotations

import socket

from pyqmail.system.interfaces import local_addresses


def host_name() -> str:
    """Return what the machine calls itself, in lower case."""
    return socket.gethostname().lower()


def addresses_of(name: str) -> list[str]:
    """Return the IP addresses of a host, the first choice first; none if it has none."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a label that is empty or too long
        return []
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def name_of(address: str) -> str | None:
    """Return the name that an IP address leads to, in lower case; None if there is none."""
    try:
        return socket.gethostbyaddr(address)[0].lower()
    except OSError:
        return None


def own_addresses() -> list[str]:
    """Return the IP addresses of all interfaces that are up. Raises OSError."""
    families = {4: socket.AF_INET, 16: socket.AF_INET6}
    return [socket.inet_ntop(families[len(ip)], ip) for ip in local_addresses() if any(ip)]
