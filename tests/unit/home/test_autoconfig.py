"""What clients are told is true, in the form that each looks for."""

from __future__ import annotations

import plistlib
import stat
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from tests.support.children import as_ordinary_user

from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home import autoconfig, mailboxes
from pyqmail.home.client_settings import ClientSettings, Server, choose_ports, read_settings
from pyqmail.home.mail_owner import MailOwner

if TYPE_CHECKING:
    from pathlib import Path

DOMAIN = "virtual.example.org"
OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}"
OUTLOOK_MAIL = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"

SETTINGS = ClientSettings(
    domain=DOMAIN,
    host="mail.example.org",
    incoming=(Server("imaps", 993), Server("pop3s", 995), Server("pop3", 110)),
    outgoing=(Server("smtps", 465), Server("submission", 587)),
    whole_address=True,
)


def with_only(incoming: str, *, whole_address: bool = True) -> ClientSettings:
    return ClientSettings(
        DOMAIN,
        "mail.example.org",
        (Server(incoming, 1),),
        (Server("submission", 2),),
        whole_address=whole_address,
    )


def text_of(element: ET.Element, path: str) -> str | None:
    found = element.find(path)
    assert found is not None, f"there is no {path}"
    return found.text


def test_thunderbird_finds_each_server_with_its_security_the_best_first() -> None:
    top = ET.fromstring(autoconfig.thunderbird(SETTINGS))

    assert (top.tag, top.get("version")) == ("clientConfig", "1.1")
    provider = top.find("emailProvider")
    assert provider is not None
    assert provider.get("id") == text_of(provider, "domain") == DOMAIN
    servers = [*provider.iter("incomingServer"), *provider.iter("outgoingServer")]
    facts = [
        (server.get("type"), text_of(server, "port"), text_of(server, "socketType"))
        for server in servers
    ]
    assert facts == [
        ("imap", "993", "SSL"),
        ("pop3", "995", "SSL"),
        ("pop3", "110", "STARTTLS"),
        ("smtp", "465", "SSL"),
        ("smtp", "587", "STARTTLS"),
    ]
    assert {text_of(server, "hostname") for server in servers} == {"mail.example.org"}
    assert {text_of(server, "authentication") for server in servers} == {"password-cleartext"}
    assert {text_of(server, "username") for server in servers} == {"%EMAILADDRESS%"}


def test_users_at_home_log_in_by_their_local_parts() -> None:
    settings = with_only("pop3s", whole_address=False)

    thunderbird = ET.fromstring(autoconfig.thunderbird(settings))
    outlook = ET.fromstring(autoconfig.outlook(settings))

    assert {name.text for name in thunderbird.iter("username")} == {"%EMAILLOCALPART%"}
    assert {name.text for name in outlook.iter(f"{OUTLOOK_MAIL}DomainRequired")} == {"off"}


def test_outlook_finds_an_answer_in_its_two_namespaces() -> None:
    top = ET.fromstring(autoconfig.outlook(SETTINGS))

    assert top.tag == f"{OUTLOOK}Autodiscover"
    account = top.find(f"{OUTLOOK_MAIL}Response/{OUTLOOK_MAIL}Account")
    assert account is not None
    assert text_of(account, f"{OUTLOOK_MAIL}AccountType") == "email"
    assert text_of(account, f"{OUTLOOK_MAIL}Action") == "settings"
    facts = [
        tuple(
            text_of(protocol, OUTLOOK_MAIL + name)
            for name in ("Type", "Server", "Port", "SSL", "Encryption", "DomainRequired", "SPA")
        )
        for protocol in account.iter(f"{OUTLOOK_MAIL}Protocol")
    ]
    host = "mail.example.org"
    assert facts == [
        ("IMAP", host, "993", "on", "SSL", "on", "off"),
        ("POP3", host, "995", "on", "SSL", "on", "off"),
        ("POP3", host, "110", "on", "TLS", "on", "off"),
        ("SMTP", host, "465", "on", "SSL", "on", "off"),
        ("SMTP", host, "587", "on", "TLS", "on", "off"),
    ]


@pytest.mark.parametrize(
    ("incoming", "kind"), [("imaps", "EmailTypeIMAP"), ("pop3s", "EmailTypePOP")]
)
def test_apple_finds_a_profile_with_one_account(incoming: str, kind: str) -> None:
    profile = plistlib.loads(autoconfig.apple(with_only(incoming)))

    (account,) = profile["PayloadContent"]
    assert profile["PayloadType"] == "Configuration"
    assert account["PayloadType"] == "com.apple.mail.managed"
    for payload in (profile, account):
        assert payload["PayloadVersion"] == 1
        assert len(payload["PayloadUUID"]) == 36
    assert profile["PayloadUUID"] != account["PayloadUUID"]
    assert account["EmailAccountType"] == kind
    assert (account["IncomingMailServerHostName"], account["IncomingMailServerPortNumber"]) == (
        "mail.example.org",
        1,
    )
    assert account["OutgoingMailServerPortNumber"] == 2
    assert account["IncomingMailServerUseSSL"] is account["OutgoingMailServerUseSSL"] is True
    assert account["IncomingMailServerAuthentication"] == "EmailAuthPassword"
    assert account["OutgoingPasswordSameAsIncomingPassword"] is True
    # The device asks for these.
    assert not {"EmailAddress", "IncomingMailServerUsername", "IncomingPassword"} & set(account)


def test_a_profile_that_is_made_again_is_the_same() -> None:
    assert autoconfig.apple(SETTINGS) == autoconfig.apple(SETTINGS)


def test_the_dns_names_what_there_is_and_what_there_is_not() -> None:
    records = list(autoconfig.records(SETTINGS, "www.example.org"))

    assert records == [
        (f"_imaps._tcp.{DOMAIN}.", "SRV", "0 1 993 mail.example.org."),
        (f"_imap._tcp.{DOMAIN}.", "SRV", "0 0 0 ."),
        (f"_pop3s._tcp.{DOMAIN}.", "SRV", "0 1 995 mail.example.org."),
        (f"_pop3._tcp.{DOMAIN}.", "SRV", "0 1 110 mail.example.org."),
        (f"_submissions._tcp.{DOMAIN}.", "SRV", "0 1 465 mail.example.org."),
        (f"_submission._tcp.{DOMAIN}.", "SRV", "0 1 587 mail.example.org."),
        (f"_autodiscover._tcp.{DOMAIN}.", "SRV", "0 0 443 www.example.org."),
        (f"autoconfig.{DOMAIN}.", "CNAME", "www.example.org."),
        (f"autodiscover.{DOMAIN}.", "CNAME", "www.example.org."),
    ]


def test_each_file_lies_where_its_client_looks(tmp_path: Path) -> None:
    paths = autoconfig.write_files(str(tmp_path), SETTINGS)

    top = tmp_path / DOMAIN
    assert paths == [
        f"{top}/.well-known/autoconfig/mail/config-v1.1.xml",
        f"{top}/mail/config-v1.1.xml",
        f"{top}/autodiscover/autodiscover.xml",
        f"{top}/mail.mobileconfig",
    ]
    for path in top.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    before = [(tmp_path / path).read_bytes() for path in paths]
    autoconfig.write_files(str(tmp_path), SETTINGS)
    assert [(tmp_path / path).read_bytes() for path in paths] == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="there is no folder"):
        autoconfig.write_files(f"{tmp_path}/absent", SETTINGS)


# What a home says of itself.


def add(home: Path, name: bytes) -> None:
    mail_owner = MailOwner(roles_of(str(home)).owner, str(home), private=True)
    as_ordinary_user(lambda: mailboxes.add_user(str(home), name, mail_owner)[1])


def test_every_domain_with_users_is_served_on_the_ports_of_the_home(home: Path) -> None:
    add(home, b"budi@virtual.example.org")

    own, virtual = read_settings(str(home))

    assert (own.domain, own.whole_address) == ("mail.example.org", False)
    assert (virtual.domain, virtual.whole_address) == (DOMAIN, True)
    assert own.host == virtual.host == "mail.example.org"
    assert [(server.name, server.port) for server in own.incoming] == [
        ("pop3s", 2995),
        ("pop3", 2110),
    ]
    assert [(server.name, server.port) for server in own.outgoing] == [
        ("smtps", 2465),
        ("submission", 2587),
    ]


def test_what_is_elsewhere_can_be_said(home: Path) -> None:
    ports = ("pop3s=995", "pop3=off", "imaps=993")

    (settings,) = read_settings(str(home), "mx.example.org", ports, ["Mail.Example.org"])

    assert settings.host == "mx.example.org"
    assert settings.incoming == (Server("imaps", 993), Server("pop3s", 995))


def test_a_system_home_has_the_ports_of_the_standards(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    if tmp_path.stat().st_uid != 0:
        pytest.skip("needs root, whose homes are system homes")

    assert choose_ports(str(tmp_path), []) == {
        "pop3s": 995,
        "pop3": 110,
        "smtps": 465,
        "submission": 587,
    }


@pytest.mark.parametrize(
    ("ports", "domains", "text"),
    [
        (["imap4=1"], [], "no service imap4: there are imaps, imap, pop3s"),
        (["imap=x"], [], "not a port or off: imap=x"),
        (["imap=0"], [], "not a port or off: imap=0"),
        (["imap=65536"], [], "not a port or off: imap=65536"),
        (["pop3=off", "pop3s=off"], [], "one service to fetch mail and one to send it"),
        ([], ["far.example.net"], "nobody has mail in the domain far.example.net"),
        ([], ["../x"], "not a host name"),
    ],
)
def test_what_cannot_be_is_refused(
    home: Path, ports: list[str], domains: list[str], text: str
) -> None:
    with pytest.raises(PermanentFailure, match=text):
        read_settings(str(home), None, ports, domains)


def test_without_a_certificate_there_is_nothing_to_tell(home: Path) -> None:
    (home / "control" / "servercert.pem").unlink()

    with pytest.raises(PermanentFailure, match="without TLS no client may say a password"):
        read_settings(str(home))
