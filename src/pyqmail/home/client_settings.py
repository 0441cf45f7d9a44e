"""What a mail client must be told: which hosts and ports, with which TLS, and as whom.

The words are those of the home: its services have the names that `qmailctl run` knows, and
`imaps` and `imap` for a Dovecot beside it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import read_line, read_list_or_me
from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home import configuration
from pyqmail.home.mailboxes import list_users
from pyqmail.home.services import SERVICES

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order in which clients shall try: what is TLS from the start cannot be talked out of it.
INCOMING: Final = ("imaps", "imap", "pop3s", "pop3")
OUTGOING: Final = ("smtps", "submission")
FROM_THE_START: Final = ("imaps", "pop3s", "smtps")

# RFC 8314, RFC 6409 and RFC 1939 for their names.
_USUAL: Final = {"pop3s": 995, "pop3": 110, "smtps": 465, "submission": 587}
_CERTIFICATE: Final = "control/servercert.pem"
_OFF: Final = "off"
_MAX_PORT: Final = 65535
_DIGITS: Final = len(str(_MAX_PORT))


@dataclass(frozen=True, slots=True)
class Server:
    """One way in, or out: the name of the service, and its port."""

    name: str
    port: int

    @property
    def protocol(self) -> str:
        """What is spoken there: imap, pop3 or smtp."""
        return "smtp" if self.name in OUTGOING else self.name.removesuffix("s")

    @property
    def begins_with_tls(self) -> bool:
        """TLS from the start, or after STARTTLS (STLS)?"""
        return self.name in FROM_THE_START


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """All that the users of one domain need. They log in by their `whole_address`, or its half."""

    domain: str
    host: str
    incoming: tuple[Server, ...]
    outgoing: tuple[Server, ...]
    whole_address: bool


def read_settings(
    home: str, host: str | None = None, ports: Sequence[str] = (), domains: Sequence[str] = ()
) -> list[ClientSettings]:
    """Return the settings of `domains`; if none is named, of all that have users.

    `host` is where clients find the servers, control/me unless it is given; `ports` has
    `NAME=PORT` and `NAME=off` for services that are elsewhere, or nowhere. Raises PermanentFailure.
    """
    if not os.path.exists(os.path.join(home, _CERTIFICATE)):
        raise PermanentFailure(
            os.fsencode(f"there is no {_CERTIFICATE}: without TLS no client may say a password")
        )
    host = host or (read_line(home, "me") or b"").decode("ascii", "replace")
    configuration.require_host(os.fsencode(host))
    servers = choose_ports(home, ports)
    own = [os.fsdecode(name.lower()) for name in read_list_or_me(home, "locals") or ()]
    incoming = tuple(Server(name, servers[name]) for name in INCOMING if name in servers)
    outgoing = tuple(Server(name, servers[name]) for name in OUTGOING if name in servers)
    if not incoming or not outgoing:
        raise PermanentFailure(b"clients need one service to fetch mail and one to send it")
    return [
        ClientSettings(domain, host, incoming, outgoing, whole_address=domain not in own)
        for domain in _domains(home, own, domains)
    ]


def choose_ports(home: str, options: Sequence[str]) -> dict[str, int]:
    """Return the port of each service: the standard's, in a private home as `qmailctl run`."""
    private = roles_of(home).private
    ports = {name: SERVICES[name].usual_port if private else _USUAL[name] for name in _USUAL}
    for option in options:
        name, _, text = option.partition("=")
        if name not in (*INCOMING, *OUTGOING):
            known = ", ".join((*INCOMING, *OUTGOING))
            raise PermanentFailure(os.fsencode(f"no service {name}: there are {known}"))
        if text == _OFF:
            ports.pop(name, None)
        elif text.isascii() and text.isdigit() and len(text) <= _DIGITS:
            ports[name] = int(text)
        if text != _OFF and not 0 < ports.get(name, 0) <= _MAX_PORT:
            raise PermanentFailure(os.fsencode(f"not a port or {_OFF}: {option}"))
    return ports


def _domains(home: str, own: Sequence[str], wanted: Sequence[str]) -> list[str]:
    virtual = {os.fsdecode(user.domain) for user in list_users(home) if user.domain}
    known = dict.fromkeys([*own, *sorted(virtual)])
    for domain in (*known, *wanted):
        configuration.require_host(os.fsencode(domain))  # it becomes the name of a folder
    for domain in wanted:
        if domain.lower() not in known:
            raise PermanentFailure(os.fsencode(f"nobody has mail in the domain {domain}"))
    return [domain.lower() for domain in wanted] or list(known)
