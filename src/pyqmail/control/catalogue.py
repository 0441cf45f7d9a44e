"""Every control file, once: how it is read, what its absence means, who reads it.

qmail-showctl(8) prints this table with what a home says, `qmailctl check`
reads every file that stands in it, and qmail-control(5) is checked against it.
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
    TEXT = "text"  # all of it, as it is


@dataclass(frozen=True, slots=True)
class ControlFile:
    """One control file.

    `default` is what its absence means; with `me_first`, it is the first line
    of `me` if there is one. For a list that has no default, it is None.

    `sentence` says what the file means, with `{}` for the line, number or
    entry; `absence` what it means that there is no such list.
    """

    name: str
    kind: Kind
    reader: str
    default: str | None
    sentence: str
    absence: str = ""
    me_first: bool = False


def _line(name: str, reader: str, sentence: str, default: str) -> ControlFile:
    return ControlFile(name, Kind.LINE, reader, default, sentence)


def _host(name: str, reader: str, sentence: str) -> ControlFile:
    """Return a line that defaults to `me`; to its own name where that is absent too."""
    return ControlFile(name, Kind.LINE, reader, name, sentence, me_first=True)


def _number(name: str, reader: str, sentence: str, default: int) -> ControlFile:
    return ControlFile(name, Kind.INTEGER, reader, str(default), sentence)


def _list(
    name: str, reader: str, sentence: str, absence: str, *, me_first: bool = False
) -> ControlFile:
    return ControlFile(name, Kind.LIST, reader, None, sentence, absence, me_first)


# Texts and order are those of the original's qmail-showctl.
ORIGINAL: Final = (
    _list(
        "badmailfrom",
        "qmail-smtpd",
        "{} not accepted in MAIL FROM.",
        "Any MAIL FROM is allowed.",
    ),
    _line("bouncefrom", "qmail-send", "Bounce user name is {}.", "MAILER-DAEMON"),
    _host("bouncehost", "qmail-send", "Bounce host name is {}."),
    _number("concurrencylocal", "qmail-send", "Local concurrency is {}.", 10),
    _number("concurrencyremote", "qmail-send", "Remote concurrency is {}.", 20),
    _number("databytes", "qmail-smtpd", "SMTP DATA limit is {} bytes.", 0),
    _host("defaultdomain", "qmail-inject", "Default domain name is {}."),
    _host("defaulthost", "qmail-inject", "Default host name is {}."),
    _host("doublebouncehost", "qmail-send", "2B recipient host: {}."),
    _line("doublebounceto", "qmail-send", "2B recipient user: {}.", "postmaster"),
    _host("envnoathost", "qmail-send", "Presumed domain name is {}."),
    _host("helohost", "qmail-remote", "SMTP client HELO host name is {}."),
    _host("idhost", "qmail-inject", "Message-ID host name is {}."),
    _host("localiphost", "qmail-smtpd", "Local IP address becomes {}."),
    _list(
        "locals",
        "qmail-send",
        "Messages for {} are delivered locally.",
        "Messages for me are delivered locally.",
        me_first=True,
    ),
    _line("me", "all whose default it is", "My name is {}.", "undefined! Uh-oh"),
    _list(
        "percenthack",
        "qmail-send",
        "The percent hack is allowed for user%host@{}.",
        "The percent hack is not allowed.",
    ),
    _host("plusdomain", "qmail-inject", "Plus domain name is {}."),
    _list("qmqpservers", "qmail-qmqpc", "QMQP server: {}.", "No QMQP servers."),
    _number("queuelifetime", "qmail-send", "Message lifetime in the queue is {} seconds.", 604800),
    _list(
        "rcpthosts",
        "qmail-smtpd",
        "SMTP clients may send messages to recipients at {}.",
        "SMTP clients may send messages to any recipient.",
    ),
    _list(
        "morercpthosts",
        "qmail-newmrh",
        "SMTP clients may send messages to recipients at {}.",
        "No effect.",
    ),
    ControlFile("morercpthosts.cdb", Kind.DATABASE, "qmail-smtpd", None, "", "No effect."),
    _host("smtpgreeting", "qmail-smtpd", "SMTP greeting: 220 {}."),
    _list("smtproutes", "qmail-remote", "SMTP route: {}", "No artificial SMTP routes."),
    _number("timeoutconnect", "qmail-remote", "SMTP client connection timeout is {} seconds.", 60),
    _number("timeoutremote", "qmail-remote", "SMTP client data timeout is {} seconds.", 1200),
    _number("timeoutsmtpd", "qmail-smtpd", "SMTP server data timeout is {} seconds.", 1200),
    _list("virtualdomains", "qmail-send", "Virtual domain: {}", "No virtual domains."),
)

# Files that the original does not know; some are of well-known extensions.
ADDITIONS: Final = (
    _line(
        "accountprefix",
        "all of a system home",
        "Names of the accounts begin with {}.",
        "nothing",
    ),
    _list(
        "authsenders",
        "qmail-smtpd",
        "Who is authenticated may send as {} (login:address).",
        "Who is authenticated may send as anybody.",
    ),
    _number("authwithouttls", "qmail-smtpd", "Passwords are taken without TLS: {} (0 is no).", 0),
    _list(
        "badrcptto",
        "qmail-smtpd",
        "{} not accepted in RCPT TO.",
        "Any RCPT TO is allowed.",
    ),
    _line("bounceformat", "qmail-send", "Bounces have the form {}.", "multipart"),
    _number(
        "bouncemaxbytes",
        "qmail-send",
        "Bounces return {} bytes of a message at most; 0: all of it.",
        0,
    ),
    _list(
        "checkpassword",
        "checkpassword",
        "Passwords are looked for in {}.",
        "Passwords are looked for in users; in a system home in shadow, too.",
    ),
    # Here and below: without a place for what the file holds, a secret.
    ControlFile(
        "clientcert.pem", Kind.TEXT, "qmail-remote", "none", "Other hosts are shown a certificate."
    ),
    ControlFile(
        "defaultdelivery", Kind.TEXT, "qmailctl", "./Mailbox", "The default delivery is {}."
    ),
    _number("maxerrors", "qmail-smtpd", "SMTP sessions end after {} errors; 0: never.", 100),
    _number("maxjunk", "qmail-smtpd", "SMTP sessions end after {} idle commands; 0: never.", 1000),
    _number("maxrcpt", "qmail-smtpd", "SMTP messages have at most {} recipients.", 10000),
    _list(
        "outgoingip",
        "qmail-remote",
        "SMTP client connections come from {}.",
        "SMTP client connections come from any address.",
    ),
    _list(
        "proxypeers",
        "qmail-smtpd",
        "SMTP clients at {} must speak the PROXY protocol.",
        "No SMTP client is a proxy.",
    ),
    _number("recipientcheck", "qmail-smtpd", "Unknown recipients are refused: {} (0 is no).", 1),
    _line("resolver", "qmail-remote", "Name server: {}.", "/etc/resolv.conf"),
    ControlFile(
        "serverca.pem",
        Kind.TEXT,
        "qmail-remote",
        "none",
        "Certificates of other hosts are believed if these authorities vouch.",
    ),
    ControlFile("servercert.pem", Kind.TEXT, "qmail-smtpd", "none", "There is a certificate."),
    ControlFile(
        "smtproutes_auth", Kind.TEXT, "qmail-remote", "none", "There are logins for SMTP routes."
    ),
    _number("smtputf8", "qmail-smtpd", "SMTPUTF8 is offered: {} (0 is no).", 1),
    _number("tarpitcount", "qmail-smtpd", "SMTP recipients are free up to {}; 0: all are.", 0),
    _number("tarpitdelay", "qmail-smtpd", "SMTP recipients beyond them cost {} seconds.", 5),
    _line("tlsclientciphers", "qmail-remote", "SMTP client ciphers of TLS 1.2 are {}.", "DEFAULT"),
    _list(
        "tlspolicy",
        "qmail-remote",
        "SMTP client TLS: {}",
        "The SMTP client speaks TLS where it is offered.",
    ),
    _line("tlsserverciphers", "qmail-smtpd", "Ciphers of TLS 1.2 are {}.", "DEFAULT"),
    _list(
        "xclientpeers",
        "qmail-smtpd",
        "SMTP clients at {} may say XCLIENT.",
        "No SMTP client may say XCLIENT.",
    ),
)

CATALOGUE: Final = (*ORIGINAL, *ADDITIONS)
