"""Look at what the servers of a home need: lists of hosts, passwords, certificate."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

from pyqmail.control.cdb import Cdb, CdbError
from pyqmail.control.files import ControlError, read_line
from pyqmail.control.peers import PeerList
from pyqmail.control.senders import SenderTable
from pyqmail.errors import TransientFailure
from pyqmail.home.findings import ERROR, WARNING, Finding, finding_of
from pyqmail.login import passwords
from pyqmail.login.sources import login_of, read_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyqmail.control.roles import Roles

_CERTIFICATE: Final = "control/servercert.pem"
_CIPHERS: Final = "control/tlsserverciphers"
_MORE_HOSTS: Final = "control/morercpthosts.cdb"

_OTHERS: Final = 0o007
_SOON: Final = 14  # days in which a certificate should be replaced


def check_network(home: str, roles: Roles) -> list[Finding]:
    """Return what is wrong with the things that servers read."""
    return [*_check_lists(home), *_check_passwords(home), *_check_certificate(home, roles)]


def _check_lists(home: str) -> Iterator[Finding]:
    """Look whether lines say what they should: with one that does not, no session begins."""
    readers: tuple[Callable[[], object], ...] = (
        partial(PeerList.read, home, "proxypeers"),
        partial(PeerList.read, home, "xclientpeers"),
        partial(SenderTable.read, home),
        lambda: list(read_sources(home)),
    )
    for read in readers:
        try:
            read()
        except ControlError as error:
            yield finding_of(error)
    try:
        Cdb(os.path.join(home, _MORE_HOSTS))
    except FileNotFoundError:
        return
    except CdbError as error:
        yield Finding(ERROR, _MORE_HOSTS, f"{error}: run qmail-newmrh")


def _check_passwords(home: str) -> Iterator[Finding]:
    """Look whether users/passwd can be read, by few, and whether its users are users."""
    try:
        for entry in passwords.entries(home):
            login_of(home, entry.name)
    except ControlError as error:
        if os.access(os.path.join(home, passwords.PATH), os.R_OK):  # else it is not ours to read
            yield finding_of(error)
    except TransientFailure as failure:
        yield Finding(ERROR, passwords.PATH, f"{failure}: nobody can log in so")
    path = os.path.join(home, passwords.PATH)
    if os.path.exists(path) and os.stat(path).st_mode & _OTHERS:
        text = f"others can read it, and guess passwords: chmod o= {passwords.PATH}"
        yield Finding(ERROR, passwords.PATH, text)


def _check_certificate(home: str, roles: Roles) -> Iterator[Finding]:
    """Look whether there can be TLS, and whether the key is a secret."""
    path = os.path.join(home, _CERTIFICATE)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        advice = "run qmailctl setup" if roles.private else "write key and certificate into it"
        text = f"is missing, so neither TLS nor AUTH is offered: {advice}"
        yield Finding(WARNING, _CERTIFICATE, text)
        return
    if mode & _OTHERS:
        text = f"others can read the key: chmod o= {_CERTIFICATE}"
        yield Finding(ERROR, _CERTIFICATE, text)
    if not os.access(path, os.R_OK):  # it is not ours to read
        return

    # Both are large, and most of qmailctl needs neither.
    from pyqmail.home import certificate  # noqa: PLC0415
    from pyqmail.system.tls import CertificateError, Certificates  # noqa: PLC0415

    try:
        Certificates(path).context()
    except CertificateError as error:
        yield Finding(ERROR, _CERTIFICATE, f"cannot be used ({error}): TLS is not offered")
        return
    days = certificate.days_left(path)
    if days < 0:
        yield Finding(ERROR, _CERTIFICATE, "has expired: clients refuse it")
    elif days < _SOON:
        yield Finding(WARNING, _CERTIFICATE, f"expires in {days} days")
    try:
        Certificates(path).context(os.fsdecode(read_line(home, "tlsserverciphers") or b""))
    except CertificateError as error:
        yield Finding(ERROR, _CIPHERS, f"cannot be used ({error}): TLS is not offered")
