"""Every control file, once: how it is read, what its absence means, who reads it.

qmail-control(5) is checked against this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """How a control file is read; see `files`."""

    LINE = "line"
    INTEGER = "number"
    LIST = "list"
    DATABASE = "cdb"


@dataclass(frozen=True, slots=True)
class ControlFile:
    """One control file.

    `default` is what its absence means; with `me_first`, it is the first line
    of `me` if there is one.
    """

    name: str
    kind: Kind
    reader: str
    default: str = "none"
    me_first: bool = False


CATALOGUE: Final = (
    ControlFile("badmailfrom", Kind.LIST, "qmail-smtpd"),
    ControlFile("badrcptto", Kind.LIST, "qmail-smtpd"),
    ControlFile("bouncefrom", Kind.LINE, "qmail-send", "MAILER-DAEMON"),
    ControlFile("bouncehost", Kind.LINE, "qmail-send", "bouncehost", me_first=True),
    ControlFile("concurrencylocal", Kind.INTEGER, "qmail-send", "10"),
    ControlFile("concurrencyremote", Kind.INTEGER, "qmail-send", "20"),
    ControlFile("databytes", Kind.INTEGER, "qmail-smtpd", "0"),
    ControlFile("defaultdelivery", Kind.LINE, "qmailctl", "./Mailbox"),
    ControlFile("defaultdomain", Kind.LINE, "qmail-inject", "defaultdomain", me_first=True),
    ControlFile("defaulthost", Kind.LINE, "qmail-inject", "defaulthost", me_first=True),
    ControlFile("doublebouncehost", Kind.LINE, "qmail-send", "doublebouncehost", me_first=True),
    ControlFile("doublebounceto", Kind.LINE, "qmail-send", "postmaster"),
    ControlFile("envnoathost", Kind.LINE, "qmail-send", "envnoathost", me_first=True),
    ControlFile("idhost", Kind.LINE, "qmail-inject", "idhost", me_first=True),
    ControlFile("localiphost", Kind.LINE, "qmail-smtpd", me_first=True),
    ControlFile("locals", Kind.LIST, "qmail-send", me_first=True),
    ControlFile("me", Kind.LINE, "all that default to me"),
    ControlFile("morercpthosts", Kind.LIST, "qmail-newmrh"),
    ControlFile("morercpthosts.cdb", Kind.DATABASE, "qmail-smtpd"),
    ControlFile("percenthack", Kind.LIST, "qmail-send"),
    ControlFile("plusdomain", Kind.LINE, "qmail-inject", "plusdomain", me_first=True),
    ControlFile("queuelifetime", Kind.INTEGER, "qmail-send", "604800"),
    ControlFile("rcpthosts", Kind.LIST, "qmail-smtpd"),
    ControlFile("smtpgreeting", Kind.LINE, "qmail-smtpd", me_first=True),
    ControlFile("timeoutsmtpd", Kind.INTEGER, "qmail-smtpd", "1200"),
    ControlFile("virtualdomains", Kind.LIST, "qmail-send"),
)
