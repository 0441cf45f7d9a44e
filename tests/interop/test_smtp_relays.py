"""Mail servers that others wrote relay to us: over TLS, pipelined, many messages in a session."""

from __future__ import annotations

import os
import smtplib
import tempfile
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import postfix
from tests.support.certificates import Authority
from tests.support.daemons import free_port
from tests.support.doors import Doors
from tests.support.opensmtpd import OpenSmtpd
from tests.support.postfix import Postfix
from tests.support.private_home import HOST, PrivateHome, why_not
from tests.support.unpacked import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.peer,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("smtp under tcpserver"),
]

SENDER = f"aku@{HOST}"
USERS = ("kamu", "dia")
HARD = (
    "Subject: hard\r\n\r\n.\r\n..\r\n.dot\r\n" + "long " * 190 + "\r\n\r\nend\r\n"
).encode()  # lines that dots begin, one of nearly 1000 bytes, an empty one
EIGHT_BIT = "Subject: ä\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n".encode()

POSTFIX = {
    "relayhost": "[127.0.0.1]:{port}",
    "smtp_tls_security_level": "encrypt",
    "smtp_tls_CAfile": "{authority}",
    "smtp_tls_loglevel": "1",
    "mynetworks": "127.0.0.0/8",
    "mydestination": "",
    "maillog_file": "{folder}/log",
    "maillog_file_prefixes": "{folder}",
    "smtp_destination_concurrency_limit": "2",
}
OPENSMTPD = """\
listen on 127.0.0.1 port {own} hostname opensmtpd.example
action out relay host "{scheme}://127.0.0.1:{port}" {tls}
match from any for any action out
"""


class Site:
    """A running home with three users, and its doors."""

    def __init__(self, home: PrivateHome, doors: Doors) -> None:
        self.home = home
        self.port = doors.smtp.port
        self.authority = doors.authority
        self.log = doors.smtp.lines

    def bodies(self, user: str, count: int) -> list[bytes]:
        """Return what lies in a Maildir once there is so much: each message with its fields."""
        self.home.wait(lambda: len(self.home.mail(user)) >= count, f"less than {count} arrive")
        return self.home.mail(user)


@pytest.fixture(scope="module")
def running_site() -> Iterator[Site]:
    with PrivateHome("aku", *USERS) as home:
        home.write("control/rcpthosts", HOST + "\n")
        home.start_alone("./Maildir/")
        with Doors(home) as doors:
            yield Site(home, doors)


@pytest.fixture
def site(running_site: Site) -> Site:
    for user in ("aku", *USERS):
        running_site.home.remove_mail(user)
    return running_site


def give(port: int, *messages: bytes, options: tuple[str, ...] = ()) -> None:
    """Give messages for all users to the relay."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo()
        for message in messages:
            client.sendmail(
                SENDER, [f"{user}@{HOST}" for user in USERS], message, rcpt_options=options
            )


def assert_whole(site: Site, how: bytes, *messages: bytes) -> None:
    """Check that each user has each message once, byte for byte, and how it came."""
    for user in USERS:
        arrived = site.bodies(user, len(messages))
        assert len(arrived) == len(messages)
        for message in messages:
            text = message.replace(b"\r\n", b"\n")
            body = text.partition(b"\n\n")[2]
            assert sum(found.endswith(b"\n\n" + body) for found in arrived) == 1, arrived
        assert all(b" with " + how + b"; " in found for found in arrived)


@pytest.fixture(scope="module")
def postfix_root() -> Iterator[Path]:
    reason = postfix.why_not()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="postfix.") as top:
        os.chmod(top, 0o755)
        yield unpack("postfix", Path(top))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that every account can reach."""
    with tempfile.TemporaryDirectory(prefix="relay.") as top:
        os.chmod(top, 0o755)
        yield Path(top)


def relaying_postfix(site: Site, root: Path, folder: Path, **more: str) -> Postfix:
    trusted = folder / "authority.pem"
    trusted.write_text(site.authority.certificate())
    values = {**POSTFIX, **more}
    settings = {
        name: value.format(port=site.port, authority=trusted, folder=folder)
        for name, value in values.items()
    }
    return Postfix(root, folder / "instance", settings)


def test_postfix_relays_over_tls_and_hands_on_what_is_hard(
    site: Site, postfix_root: Path, folder: Path
) -> None:
    relay = relaying_postfix(
        site, postfix_root, folder, smtp_tls_security_level="secure",
        smtp_tls_secure_cert_match="mail.example.org",
    )  # fmt: skip
    with relay.running(delivers=True):
        give(relay.port, HARD, EIGHT_BIT)

        assert_whole(site, b"ESMTPS", HARD, EIGHT_BIT)


def test_postfix_relays_in_the_clear(site: Site, postfix_root: Path, folder: Path) -> None:
    relay = relaying_postfix(site, postfix_root, folder, smtp_tls_security_level="none")
    with relay.running(delivers=True):
        give(relay.port, HARD, EIGHT_BIT)

        assert_whole(site, b"SMTP", HARD, EIGHT_BIT)


def test_postfix_relays_many_messages(site: Site, postfix_root: Path, folder: Path) -> None:
    messages = [f"Subject: {number}\r\n\r\nnumber {number}\r\n".encode() for number in range(40)]
    before = len([line for line in site.log() if " ok " in line])
    relay = relaying_postfix(
        site, postfix_root, folder, smtp_connection_cache_on_demand="yes",
        smtp_connection_cache_destinations="127.0.0.1", smtp_tls_connection_reuse="no",
        smtp_tls_security_level="none",
    )  # fmt: skip
    with relay.running(delivers=True):
        give(relay.port, *messages)

        assert_whole(site, b"SMTP", *messages)

    # It keeps connections: there are less of them than messages.
    assert len([line for line in site.log() if " ok " in line]) - before < len(messages)


def test_who_does_not_exist_is_refused_to_postfix_and_others_get_the_message(
    site: Site, postfix_root: Path, folder: Path
) -> None:
    relay = relaying_postfix(site, postfix_root, folder)
    with relay.running(delivers=True):
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as client:
            client.sendmail(SENDER, [f"nobody@{HOST}", f"kamu@{HOST}"], HARD)

        site.bodies("kamu", 1)
        (bounce,) = site.bodies("aku", 1)

    assert b"sorry, no mailbox here by that name. (#5.1.1)" in bounce


def test_a_sender_behind_postfix_hears_of_success_from_us(
    site: Site, postfix_root: Path, folder: Path
) -> None:
    relay = relaying_postfix(site, postfix_root, folder)
    with relay.running(delivers=True):
        give(relay.port, HARD, options=("NOTIFY=SUCCESS",))

        notices = site.bodies("aku", len(USERS))

    told = {}
    for notice in notices:
        _, fields = message_from_bytes(notice).get_payload()[1].get_payload()
        told[fields["Original-Recipient"]] = fields["Action"]
    assert told == {f"rfc822;{user}@{HOST}": "delivered" for user in USERS}


@pytest.fixture
def opensmtpd(folder: Path) -> OpenSmtpd:
    reason = OpenSmtpd.why_not()
    if reason is not None:
        pytest.skip(reason)
    return OpenSmtpd(folder, Authority(), free_port())


@pytest.mark.parametrize(
    ("scheme", "tls", "how"),
    [("smtp+notls", "", b"SMTP"), ("smtp+tls", "tls no-verify", b"ESMTPS")],
)
def test_opensmtpd_relays(
    site: Site, opensmtpd: OpenSmtpd, scheme: str, tls: str, how: bytes
) -> None:
    own = opensmtpd.ports["plain"]
    opensmtpd.ports = {"plain": own}
    text = OPENSMTPD.format(own=own, scheme=scheme, port=site.port, tls=tls)
    (opensmtpd.folder / "conf").write_text(text)
    with opensmtpd.start():
        give(own, HARD, EIGHT_BIT)

        assert_whole(site, how, HARD, EIGHT_BIT)
