"""Files by which mail clients find their settings, and records of the DNS for the same.

Thunderbird, Outlook and Apple Mail each look for a form of its own, at places of its own below
the web pages of the domain; RFC 6186 and RFC 8314 have records that need no web server.
"""

from __future__ import annotations

import os
import plistlib
import uuid
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from pyqmail.errors import PermanentFailure
from pyqmail.home.client_settings import INCOMING, OUTGOING
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyqmail.home.client_settings import ClientSettings, Server

_FOLDER_MODE: Final = 0o755
_FILE_MODE: Final = 0o644

_OUTLOOK: Final = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_OUTLOOK_MAIL: Final = (
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

# As the registry of service names has them; RFC 6186 §3, RFC 8314 §5.1.
_SRV_NAMES: Final = {"smtps": "submissions"}


def write_files(folder: str, settings: ClientSettings) -> list[str]:
    """Write all files of a domain below `folder`/DOMAIN, which is what the web server shows.

    Returns their paths. On return they survive a power cut.
    """
    if not os.path.isdir(folder):
        raise PermanentFailure(os.fsencode(f"there is no folder {folder}"))
    paths = []
    for name, encode in FORMS.items():
        path = os.path.join(folder, settings.domain, name)
        _make_folders(folder, os.path.dirname(path))
        files.replace_durably(path, encode(settings), _FILE_MODE)
        paths.append(path)
    return paths


def _make_folders(top: str, folder: str) -> None:
    if not os.path.isdir(folder) and folder != top:
        _make_folders(top, os.path.dirname(folder))
        files.make_directory(folder, _FOLDER_MODE)
        files.sync_directory(os.path.dirname(folder))


def thunderbird(settings: ClientSettings) -> bytes:
    """Return the form of Thunderbird, KMail, Evolution and others."""
    top = ET.Element("clientConfig", version="1.1")
    provider = ET.SubElement(top, "emailProvider", id=settings.domain)
    _add(provider, {"domain": settings.domain, "displayName": f"Mail of {settings.domain}"})
    _add(provider, {"displayShortName": settings.domain})
    user = "%EMAILADDRESS%" if settings.whole_address else "%EMAILLOCALPART%"
    for server in (*settings.incoming, *settings.outgoing):
        kind = "outgoingServer" if server.protocol == "smtp" else "incomingServer"
        element = ET.SubElement(provider, kind, type=server.protocol)
        _add(
            element,
            {
                "hostname": settings.host,
                "port": str(server.port),
                "socketType": "SSL" if server.begins_with_tls else "STARTTLS",
                "authentication": "password-cleartext",  # inside of TLS
                "username": user,
            },
        )
    return _document(top)


def outlook(settings: ClientSettings) -> bytes:
    """Return the form of Outlook: an answer to the question that it asks by POST."""
    top = ET.Element("Autodiscover", xmlns=_OUTLOOK)
    response = ET.SubElement(top, "Response", xmlns=_OUTLOOK_MAIL)
    account = ET.SubElement(response, "Account")
    _add(account, {"AccountType": "email", "Action": "settings"})
    for server in (*settings.incoming, *settings.outgoing):
        protocol = ET.SubElement(account, "Protocol")
        _add(
            protocol,
            {
                "Type": server.protocol.upper(),
                "Server": settings.host,
                "Port": str(server.port),
                # Without LoginName it is the local part; with this, the whole address.
                "DomainRequired": "on" if settings.whole_address else "off",
                "SPA": "off",
                "SSL": "on",
                "Encryption": "SSL" if server.begins_with_tls else "TLS",
                "AuthRequired": "on",
            },
        )
        if server.protocol == "smtp":
            _add(protocol, {"UsePOPAuth": "on", "SMTPLast": "off"})
    return _document(top)


def apple(settings: ClientSettings) -> bytes:
    """Return a profile for Apple Mail, on a Mac or a telephone. It asks who the user is."""
    incoming, outgoing = settings.incoming[0], settings.outgoing[0]
    kind = "EmailTypeIMAP" if incoming.protocol == "imap" else "EmailTypePOP"
    title = f"Mail of {settings.domain}"
    identifier = ".".join(reversed(settings.domain.split("."))) + ".mail"
    account = {
        "PayloadType": "com.apple.mail.managed",
        **_payload(identifier + ".account", title),
        "EmailAccountType": kind,
        "EmailAccountDescription": title,
        **_apple_server("Incoming", settings, incoming),
        **_apple_server("Outgoing", settings, outgoing),
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    profile = {
        "PayloadType": "Configuration",
        **_payload(identifier, title),
        "PayloadDescription": f"Reads and sends the mail of {settings.domain}.",
        "PayloadContent": [account],
    }
    return plistlib.dumps(profile)


def _apple_server(which: str, settings: ClientSettings, server: Server) -> dict[str, object]:
    start = f"{which}MailServer"
    return {
        f"{start}Authentication": "EmailAuthPassword",
        f"{start}HostName": settings.host,
        f"{start}PortNumber": server.port,
        f"{start}UseSSL": True,
    }


def _payload(identifier: str, title: str) -> dict[str, object]:
    # Always the same, so that a profile that is installed again replaces the one before.
    number = uuid.uuid5(uuid.NAMESPACE_DNS, identifier)
    return {
        "PayloadIdentifier": identifier,
        "PayloadUUID": str(number).upper(),
        "PayloadVersion": 1,
        "PayloadDisplayName": title,
    }


# Where each client looks, below https://DOMAIN/ or a host of its own in the domain.
FORMS: Final[Mapping[str, Callable[[ClientSettings], bytes]]] = {
    ".well-known/autoconfig/mail/config-v1.1.xml": thunderbird,
    "mail/config-v1.1.xml": thunderbird,
    "autodiscover/autodiscover.xml": outlook,
    "mail.mobileconfig": apple,
}


def records(settings: ClientSettings, web: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and data of the records to publish; `web` is the host of the files."""
    offered = {server.name: server.port for server in (*settings.incoming, *settings.outgoing)}
    for name in (*INCOMING, *OUTGOING):
        port = offered.get(name)
        # "." says that there is none: else clients would guess (RFC 6186 §3.4).
        data = "0 0 0 ." if port is None else f"0 1 {port} {settings.host}."
        yield f"_{_SRV_NAMES.get(name, name)}._tcp.{settings.domain}.", "SRV", data
    yield f"_autodiscover._tcp.{settings.domain}.", "SRV", f"0 0 443 {web}."
    for name in ("autoconfig", "autodiscover"):
        yield f"{name}.{settings.domain}.", "CNAME", f"{web}."


def _add(element: ET.Element, fields: Mapping[str, str]) -> None:
    for name, text in fields.items():
        ET.SubElement(element, name).text = text


def _document(top: ET.Element) -> bytes:
    ET.indent(top)
    encoded: bytes = ET.tostring(top, encoding="UTF-8", xml_declaration=True)
    return encoded + b"\n"
