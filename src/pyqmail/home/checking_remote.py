"""Look at what a home says about mail to other hosts: routes, passwords, TLS."""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Final

from pyqmail.control import smtproutes_auth, tlspolicy
from pyqmail.control.files import ControlError, read_line, read_list
from pyqmail.control.maps import ColonMap
from pyqmail.control.smtproutes import SMTP_PORT, parse_place
from pyqmail.home.findings import ERROR, WARNING, Finding, finding_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.control.roles import Roles

CLIENT_CERTIFICATE: Final = "control/clientcert.pem"
AUTHORITIES: Final = "control/serverca.pem"
_EVERYBODY: Final = 0o007


def check_remote(home: str, roles: Roles) -> Iterator[Finding]:
    """Yield what is wrong."""
    try:
        yield from _check_routes(home)
        yield from map(finding_of, tlspolicy.check_rules(home))
        yield from _check_sources(home)
        yield from _check_logins(home, roles)
        yield from _check_tls(home)
    except ControlError as error:
        yield finding_of(error)


def _check_routes(home: str) -> Iterator[Finding]:
    for line in read_list(home, "smtproutes") or ():
        _, colon, place = line.partition(b":")
        if not colon:
            text = f"has no colon in the line {line.decode('ascii', 'backslashreplace')}"
            yield Finding(WARNING, "control/smtproutes", text)
            continue
        try:
            parse_place("smtproutes", place, SMTP_PORT)
        except ControlError as error:
            yield finding_of(error)


def _check_sources(home: str) -> Iterator[Finding]:
    for line in read_list(home, "outgoingip") or ():
        text = line.decode("ascii", "backslashreplace")
        try:
            ipaddress.ip_address(text)
        except ValueError:
            yield Finding(ERROR, "control/outgoingip", f"no address: {text}")


def _check_logins(home: str, roles: Roles) -> Iterator[Finding]:
    """Look whether there are passwords, who may read them, and who gets them."""
    path = os.path.join(home, smtproutes_auth.PATH)
    try:
        owner = os.stat(path).st_uid
    except FileNotFoundError:
        return
    if owner != roles.qmailr.uid:
        text = f"belongs to uid {owner}, and qmail-remote cannot read it: chown {roles.qmailr.name}"
        yield Finding(ERROR, smtproutes_auth.PATH, text)
    if not os.access(path, os.R_OK):  # it is not ours to read
        return
    policies = ColonMap(read_list(home, tlspolicy.NAME) or [])
    for host, _ in smtproutes_auth.read_logins(home):
        rule = tlspolicy.find_rule(policies, host, host)
        if rule is not None and rule.policy is not tlspolicy.Policy.VERIFY:
            name = host.decode("ascii", "backslashreplace")
            text = f"gives the password for {name} to whoever says that he is it; better: verify"
            yield Finding(WARNING, tlspolicy.PATH, text)


def _check_tls(home: str) -> Iterator[Finding]:
    own = os.path.join(home, CLIENT_CERTIFICATE)
    authorities = os.path.join(home, AUTHORITIES)
    if os.path.exists(own) and os.stat(own).st_mode & _EVERYBODY:
        text = f"others can read the key: chmod o= {CLIENT_CERTIFICATE}"
        yield Finding(ERROR, CLIENT_CERTIFICATE, text)
    ciphers = (read_line(home, "tlsclientciphers") or b"").decode("ascii", "replace") or None
    there = [path for path in (own, authorities) if os.path.exists(path)]
    if not (there or ciphers) or not all(os.access(path, os.R_OK) for path in there):
        return

    # It is large, and most of qmailctl does not need it.
    from pyqmail.system.tls import CertificateError  # noqa: PLC0415
    from pyqmail.system.tls_client import ClientContexts  # noqa: PLC0415

    for place, files in (
        (CLIENT_CERTIFICATE, (own, "")),
        (AUTHORITIES, ("", authorities)),
        ("control/tlsclientciphers", ("", "")),
    ):
        try:
            wanted = ciphers if place.endswith("ciphers") else None
            ClientContexts(*files).context(verify=place == AUTHORITIES, ciphers=wanted)
        except CertificateError as error:
            yield Finding(ERROR, place, f"cannot be used ({error}): mail to other hosts waits")
