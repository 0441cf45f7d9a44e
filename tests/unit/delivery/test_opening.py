"""TLS with other hosts, and logins to relays: control/tlspolicy, smtproutes_auth, certificates."""

from __future__ import annotations

import asyncio
import os
import ssl
from base64 import b64encode
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trustme
from tests.support.dns_table import TableResolver
from tests.support.far_host import FarHost
from tests.support.queues import make_home

from pyqmail.control.smtproutes_auth import Login
from pyqmail.delivery import opening
from pyqmail.delivery.remote import Delivery, RemoteDeliverer
from pyqmail.queue.suspension import Suspension

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "127.0.0.2"
NAME = "mx.far.example"
HOSTS = {NAME.encode(): [ADDRESS]}
DOMAINS = {b"far.example": [(10, NAME.encode())]}
STARTTLS = [b"STARTTLS"]
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
TAKEN = b"K127.0.0.2 accepted message.\nRemote host said: 250 ok\n"
SECRET = b64encode(b"\0joe\0pass word")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(
    authority: trustme.CA, *names: str, not_after: datetime | None = None
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


class Place:
    def __init__(self, top: Path, authority: trustme.CA) -> None:
        self.home = make_home(str(top))
        self.control = top / "control"
        self.control.mkdir(exist_ok=True)
        self.set("me", "me.example")
        authority.cert_pem.write_to_path(str(self.control / "serverca.pem"))

    def set(self, name: str, text: str, mode: int = 0o600) -> None:
        (self.control / name).write_text(text + "\n")
        (self.control / name).chmod(mode)

    def deliver(self, host: FarHost, *, relay: str = "") -> bytes:
        """Return the report on a message to far.example."""
        return asyncio.run(self._deliver(host, relay))

    async def _deliver(self, host: FarHost, relay: str) -> bytes:
        port = await host.listen(ADDRESS)
        if relay:
            self.set("smtproutes", f":{relay}:{port}")
        resolver = TableResolver(HOSTS, DOMAINS)
        deliverer = RemoteDeliverer(self.home, resolver, Suspension(self.home, 0), port)
        try:
            with ExitStack() as stack:
                message = os.memfd_create("message")
                stack.callback(os.close, message)
                os.pwrite(message, b"hello\n", 0)
                delivery = Delivery(b"far.example", b"s@x.example", [b"a@far.example"], message)
                return (await deliverer.deliver(delivery)).message
        finally:
            await host.stop()


@pytest.fixture
def place(tmp_path: Path, authority: trustme.CA) -> Place:
    return Place(tmp_path, authority)


def test_tls_is_spoken_where_it_is_offered_and_the_name_said_again(
    place: Place, authority: trustme.CA
) -> None:
    host = FarHost(extensions=STARTTLS, context=server_context(authority, "other.example"))

    assert place.deliver(host) == TAKEN
    verbs = [line.split()[0] for line in host.commands]
    assert verbs[:4] == [b"EHLO", b"STARTTLS", b"EHLO", b"MAIL"]
    assert (host.secured, host.indicated, host.sessions) == (1, [NAME], 1)


def test_with_the_policy_none_nobody_is_asked_for_tls(place: Place) -> None:
    place.set("tlspolicy", "far.example:none\n:encrypt")
    host = FarHost(extensions=STARTTLS)

    assert place.deliver(host) == TAKEN
    assert b"STARTTLS\r\n" not in host.commands


def test_without_tls_what_must_be_encrypted_waits(place: Place) -> None:
    place.set("tlspolicy", ".example:encrypt")
    host = FarHost()

    assert place.deliver(host) == (
        b"ZConnected to 127.0.0.2 but it offers no TLS, which control/tlspolicy demands (#4.7.4).\n"
    )
    assert host.messages == []


def test_what_must_be_encrypted_may_be_so_for_anybody(place: Place) -> None:
    place.set("tlspolicy", ".example:encrypt")
    host = FarHost(extensions=STARTTLS, context=server_context(trustme.CA(), "other.example"))

    assert place.deliver(host) == TAKEN
    assert host.secured == 1


@pytest.mark.parametrize(
    ("policy", "certified"),
    [
        ("verify", ["far.example"]),
        ("verify", ["mx.far.example"]),
        ("Verify", ["*.far.example", "other.example"]),
        ("verify:mx.other.example", ["mx.other.example"]),
        ("verify:.other.example", ["mx.other.example"]),
        ("verify:a.example:mx.other.example", ["*.other.example"]),
        ("verify:127.0.0.2", ["127.0.0.2"]),
    ],
)
def test_a_certificate_for_the_right_name_is_good(
    place: Place, authority: trustme.CA, policy: str, certified: list[str]
) -> None:
    place.set("tlspolicy", f"far.example:{policy}")
    host = FarHost(extensions=STARTTLS, context=server_context(authority, *certified))

    assert place.deliver(host) == TAKEN
    assert host.secured == 1


@pytest.mark.parametrize(
    ("policy", "certified"),
    [
        ("verify", ["far.example.org"]),
        ("verify", ["notfar.example"]),
        ("verify:mx.other.example", ["other.example"]),
        ("verify:mx.other.example", ["*.example"]),
        ("verify:.other.example", ["other.example"]),
        ("verify", ["127.0.0.2"]),
    ],
)
def test_a_certificate_for_another_name_is_not(
    place: Place, authority: trustme.CA, policy: str, certified: list[str]
) -> None:
    place.set("tlspolicy", f"far.example:{policy}")
    host = FarHost(extensions=STARTTLS, context=server_context(authority, *certified))

    report = place.deliver(host)

    assert report.startswith(b"ZConnected to 127.0.0.2 but TLS failed: the certificate is not for ")
    assert host.messages == []


def test_a_certificate_that_nobody_vouches_for_is_none(place: Place) -> None:
    place.set("tlspolicy", ":verify")
    host = FarHost(extensions=STARTTLS, context=server_context(trustme.CA(), NAME))

    report = place.deliver(host)

    assert report.startswith(b"ZConnected to 127.0.0.2 but TLS failed: ")
    assert b"certificate" in report
    assert host.messages == []


def test_a_certificate_that_has_expired_is_none(place: Place, authority: trustme.CA) -> None:
    place.set("tlspolicy", ":verify")
    context = server_context(authority, NAME, not_after=LONG_AGO)
    host = FarHost(extensions=STARTTLS, context=context)

    assert b"TLS failed: certificate has expired. (#4.7.5)\n" in place.deliver(host)
    assert host.messages == []


def test_without_authorities_of_our_own_the_system_vouches(
    place: Place, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(place.control / "serverca.pem"))
    (place.control / "serverca.pem").rename(place.control / "elsewhere.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(place.control / "elsewhere.pem"))
    place.set("tlspolicy", ":verify")
    host = FarHost(extensions=STARTTLS, context=server_context(authority, NAME))

    assert place.deliver(host) == TAKEN


@pytest.mark.parametrize("policy", ["", "may"])
def test_a_certificate_of_whatever_kind_is_good_where_none_is_needed(
    place: Place, policy: str
) -> None:
    if policy:
        place.set("tlspolicy", f":{policy}")
    context = server_context(trustme.CA(), "other.example", not_after=LONG_AGO)
    host = FarHost(extensions=STARTTLS, context=context)

    assert place.deliver(host) == TAKEN
    assert host.secured == 1


@pytest.mark.parametrize(("policy", "taken"), [("may", True), ("encrypt", False)])
def test_old_tls_is_better_than_none_and_worse_than_what_is_demanded(
    place: Place, authority: trustme.CA, policy: str, *, taken: bool
) -> None:
    place.set("tlspolicy", f":{policy}")
    context = server_context(authority, NAME)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    host = FarHost(extensions=STARTTLS, context=context)

    assert (place.deliver(host) == TAKEN) is taken
    assert host.secured == int(taken)


@pytest.mark.parametrize("injected", [b"250 ok\r\n", b"\n", b"2"])
@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_what_comes_with_the_consent_to_tls_is_not_heard_under_tls(
    place: Place, authority: trustme.CA, injected: bytes, policy: str
) -> None:
    place.set("tlspolicy", f":{policy}")
    script = {"starttls": b"220 go\r\n" + injected}
    host = FarHost(script, STARTTLS, server_context(authority, NAME))

    report = place.deliver(host)

    if policy == "may":
        assert (report, host.secured, host.sessions) == (TAKEN, 0, 2)
    else:
        assert b"TLS failed: something was said that was not asked for. (#4.7.5)\n" in report
        assert host.messages == []


def test_our_own_certificate_is_shown_to_who_asks(place: Place, authority: trustme.CA) -> None:
    ours = authority.issue_cert("me.example")
    ours.private_key_and_cert_chain_pem.write_to_path(str(place.control / "clientcert.pem"))
    place.set("tlspolicy", ":encrypt")
    context = server_context(authority, NAME)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    assert place.deliver(FarHost(extensions=STARTTLS, context=context)) == TAKEN


@pytest.mark.parametrize(("policy", "taken"), [("may", True), ("encrypt", False)])
def test_who_wants_a_certificate_that_we_do_not_have(
    place: Place, authority: trustme.CA, policy: str, *, taken: bool
) -> None:
    place.set("tlspolicy", f":{policy}")
    context = server_context(authority, NAME)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)

    report = place.deliver(FarHost(extensions=STARTTLS, context=context))

    assert (report == TAKEN) is taken
    assert taken or report.startswith(b"ZConnected to 127.0.0.2 but TLS failed: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clientcert.pem", "no certificate"),
        ("tlsclientciphers", "NO-SUCH-CIPHER"),
        ("tlspolicy", ":perhaps"),
    ],
)
def test_a_broken_control_file_delays_the_mail(place: Place, name: str, text: str) -> None:
    place.set(name, text)
    host = FarHost(extensions=STARTTLS)

    assert place.deliver(host) == b"ZUnable to read control files. (#4.3.0)\n"
    assert host.sessions == 0


def test_at_the_port_of_smtps_tls_comes_first(
    place: Place, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FarHost(context=server_context(authority, NAME), tls_first=True)
    listen = host.listen

    async def listen_there(address: str) -> int:
        port = await listen(address)
        monkeypatch.setattr(opening, "SMTPS_PORT", port)
        return port

    monkeypatch.setattr(host, "listen", listen_there)
    place.set("tlspolicy", ":verify")

    assert place.deliver(host, relay=NAME) == TAKEN
    assert (host.secured, b"STARTTLS\r\n" in host.commands) == (1, False)


# Logins.


@pytest.mark.parametrize(
    ("mechanism", "said"),
    [
        (b"PLAIN", [b"AUTH PLAIN " + SECRET]),
        (b"LOGIN", [b"AUTH LOGIN", b64encode(b"joe"), b64encode(b"pass word")]),
    ],
)
def test_we_log_in_to_a_relay_that_has_proved_who_it_is(
    place: Place, authority: trustme.CA, mechanism: bytes, said: list[bytes]
) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word")
    context = server_context(authority, NAME)
    host = FarHost(extensions=[b"STARTTLS", b"AUTH " + mechanism], context=context)

    assert place.deliver(host, relay=NAME) == TAKEN
    start = host.commands.index(b"STARTTLS\r\n") + 2  # EHLO follows
    assert host.commands[start : start + len(said)] == [line + b"\r\n" for line in said]


def password_was_told(host: FarHost) -> bool:
    return any(b"AUTH" in line or SECRET in line for line in host.commands)


def test_a_relay_that_does_not_prove_who_it_is_gets_no_password(place: Place) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word")
    context = server_context(trustme.CA(), NAME)
    host = FarHost(extensions=[b"STARTTLS", b"AUTH PLAIN"], context=context)

    assert place.deliver(host, relay=NAME).startswith(b"ZConnected to 127.0.0.2 but TLS failed: ")
    assert not password_was_told(host)


@pytest.mark.parametrize("policy", ["may", "encrypt", "verify"])
def test_no_password_goes_over_a_connection_without_tls(place: Place, policy: str) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word")
    place.set("tlspolicy", f":{policy}")
    host = FarHost(extensions=[b"AUTH PLAIN"])

    assert b"offers no TLS" in place.deliver(host, relay=NAME)
    assert not password_was_told(host)


def test_where_the_policy_is_none_a_password_goes_in_the_clear(place: Place) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word")
    place.set("tlspolicy", f"{NAME}:none")
    host = FarHost(extensions=[b"AUTH PLAIN"])

    assert place.deliver(host, relay=NAME) == TAKEN
    assert b"AUTH PLAIN " + SECRET + b"\r\n" in host.commands


@pytest.mark.parametrize("policy", ["may", "encrypt"])
def test_the_policy_may_be_content_with_any_certificate(place: Place, policy: str) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word")
    place.set("tlspolicy", f"{NAME}:{policy}")
    context = server_context(trustme.CA(), "other.example")
    host = FarHost(extensions=[b"STARTTLS", b"AUTH PLAIN"], context=context)

    assert place.deliver(host, relay=NAME) == TAKEN
    assert password_was_told(host)


def test_an_exchanger_gets_no_password_even_if_it_is_somebodys_relay(place: Place) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word\nfar.example joe pass word")
    place.set("tlspolicy", ":none")
    host = FarHost(extensions=[b"AUTH PLAIN"])

    assert place.deliver(host) == TAKEN
    assert not password_was_told(host)


def test_a_relay_gets_no_password_of_another(place: Place) -> None:
    place.set("smtproutes_auth", f"other.example joe pass word\n{NAME}:1 joe pass word")
    place.set("tlspolicy", ":none")
    host = FarHost(extensions=[b"AUTH PLAIN"])

    assert place.deliver(host, relay=NAME) == TAKEN
    assert not password_was_told(host)


def test_a_relay_that_knows_none_of_our_mechanisms_gets_no_mail(place: Place) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word")
    place.set("tlspolicy", ":none")
    host = FarHost(extensions=[b"AUTH XOAUTH2"])

    assert b"but it offers no way to log in that I know (#4.7.4).\n" in place.deliver(
        host, relay=NAME
    )
    assert host.messages == []


def test_a_login_that_is_refused_delays_the_mail(place: Place) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word")
    place.set("tlspolicy", ":none")
    host = FarHost({"auth": b"535 5.7.8 no\r\n"}, [b"AUTH PLAIN"])

    assert place.deliver(host, relay=NAME) == (
        b"ZConnected to 127.0.0.2 but my login failed.\nRemote host said: 535 5.7.8 no\n"
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_passwords_that_others_may_read_are_not_used(place: Place, mode: int) -> None:
    place.set("smtproutes_auth", f"{NAME} joe pass word", mode)
    place.set("tlspolicy", ":none")
    host = FarHost(extensions=[b"AUTH PLAIN"])

    assert place.deliver(host, relay=NAME) == b"ZUnable to read control files. (#4.3.0)\n"
    assert host.sessions == 0


def test_a_password_is_in_no_text_that_shows_a_login() -> None:
    assert "pass word" not in repr(Login(b"joe", b"pass word"))
