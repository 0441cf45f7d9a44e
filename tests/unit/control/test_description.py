from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.description import describe_controls
from pyqmail.control.files import ControlError

if TYPE_CHECKING:
    from pathlib import Path

# What the original's qmail-showctl prints below its first lines.
OF_AN_EMPTY_HOME = """
badmailfrom: (Default.) Any MAIL FROM is allowed.

bouncefrom: (Default.) Bounce user name is MAILER-DAEMON.

bouncehost: (Default.) Bounce host name is bouncehost.

concurrencylocal: (Default.) Local concurrency is 10.

concurrencyremote: (Default.) Remote concurrency is 20.

databytes: (Default.) SMTP DATA limit is 0 bytes.

defaultdomain: (Default.) Default domain name is defaultdomain.

defaulthost: (Default.) Default host name is defaulthost.

doublebouncehost: (Default.) 2B recipient host: doublebouncehost.

doublebounceto: (Default.) 2B recipient user: postmaster.

envnoathost: (Default.) Presumed domain name is envnoathost.

helohost: (Default.) SMTP client HELO host name is helohost.

idhost: (Default.) Message-ID host name is idhost.

localiphost: (Default.) Local IP address becomes localiphost.

locals: (Default.) Messages for me are delivered locally.

me: (Default.) My name is undefined! Uh-oh.

percenthack: (Default.) The percent hack is not allowed.

plusdomain: (Default.) Plus domain name is plusdomain.

qmqpservers: (Default.) No QMQP servers.

queuelifetime: (Default.) Message lifetime in the queue is 604800 seconds.

rcpthosts: (Default.) SMTP clients may send messages to any recipient.

morercpthosts: (Default.) No rcpthosts; morercpthosts is irrelevant.

morercpthosts.cdb: (Default.) No effect.

smtpgreeting: (Default.) SMTP greeting: 220 smtpgreeting.

smtproutes: (Default.) No artificial SMTP routes.

timeoutconnect: (Default.) SMTP client connection timeout is 60 seconds.

timeoutremote: (Default.) SMTP client data timeout is 1200 seconds.

timeoutsmtpd: (Default.) SMTP server data timeout is 1200 seconds.

virtualdomains: (Default.) No virtual domains.
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    return tmp_path


def describe(home: Path) -> str:
    return b"".join(describe_controls(str(home))).decode()


def test_an_empty_home_is_described_as_the_original_describes_it(home: Path) -> None:
    assert describe(home) == OF_AN_EMPTY_HOME


@pytest.mark.parametrize(
    ("name", "text", "paragraph"),
    [
        ("badmailfrom", b"u@x\n@y\n", "\nu@x not accepted in MAIL FROM.\n@y not accepted in MAI"),
        ("bouncefrom", b"M\xc3\xa4\x07\n", "Bounce user name is M???.\n\n"),
        ("bouncehost", b"", "Bounce host name is .\n\n"),
        ("concurrencyremote", b"40\n", "Remote concurrency is 40.\n\n"),
        ("databytes", b"12abc\n", "Oops! Trouble reading this file.\n\n"),
        ("queuelifetime", b"\n", "(Default.) Message lifetime in the queue is 604800 seconds.\n\n"),
        ("helohost", b"h\r\nx\n", "SMTP client HELO host name is h.\n\n"),
        ("locals", b"", "\n\nme: "),
        ("locals", b"a\n#b\n\n c \n", "\nMessages for a are delivered locally.\nMessages for  c a"),
        ("percenthack", b"a%b\n", "\nThe percent hack is allowed for user%host@a%b.\n"),
        ("qmqpservers", b"192.0.2.1\n", "\nQMQP server: 192.0.2.1.\n\n"),
        ("rcpthosts", b"a\n", "\nSMTP clients may send messages to recipients at a.\n\n"),
        ("smtproutes", b":relay:26\n", "\nSMTP route: :relay:26\n\n"),
        ("virtualdomains", b"a:b\n", "\nVirtual domain: a:b\n"),
        ("badrcptto", b"u@x\n", "\nu@x not accepted in RCPT TO.\n"),
        ("defaultdelivery", b"|a\n./Maildir/\n", "The default delivery is |a?./Maildir/.\n"),
        ("concurrencyincoming", b"20\n", "I have no idea what this file does.\n"),
    ],
)
def test_a_file_is_shown_in_the_originals_words(
    home: Path, name: str, text: bytes, paragraph: str
) -> None:
    (home / "control" / name).write_bytes(text)

    assert f"\n\n{name}: {paragraph}" in "\n" + describe(home)


def test_a_host_that_is_not_set_is_me(home: Path) -> None:
    (home / "control" / "me").write_text("mail.example.org\n")

    text = describe(home)

    assert "\nhelohost: (Default.) SMTP client HELO host name is mail.example.org.\n" in text
    assert "\nme: My name is mail.example.org.\n" in text


def test_a_file_that_cannot_be_read_hides_no_other(home: Path) -> None:
    (home / "control" / "locals").mkdir()

    text = describe(home)

    assert "\nlocals: Oops! Trouble reading this file.\n" in text
    assert text.endswith("\nvirtualdomains: (Default.) No virtual domains.\n")


def test_without_me_that_can_be_read_nothing_is_described(home: Path) -> None:
    (home / "control" / "me").mkdir()

    with pytest.raises(ControlError, match="control/me"):
        describe(home)


@pytest.mark.parametrize(
    ("beside", "text"),
    [
        ("rcpthosts", "morercpthosts: \nSMTP clients may send messages to recipients at a.\n"),
        ("locals", "morercpthosts: \nNo rcpthosts; doesn't matter that morercpthosts has a.\n"),
    ],
)
def test_morercpthosts_counts_only_beside_rcpthosts(home: Path, beside: str, text: str) -> None:
    (home / "control" / "morercpthosts").write_text("a\n")
    (home / "control" / beside).write_text("")

    assert text in describe(home)


@pytest.mark.parametrize(
    ("source", "database", "text"),
    [
        (None, 5, "Oops! morercpthosts.cdb exists but morercpthosts doesn't."),
        (5, None, "Oops! morercpthosts exists but morercpthosts.cdb doesn't."),
        (6, 5, "Oops! morercpthosts.cdb is older than morercpthosts."),
        (5.9, 5, "Modified recently enough; hopefully up to date."),
    ],
)
def test_an_old_database_is_told_of(
    home: Path, source: float | None, database: float | None, text: str
) -> None:
    for name, time in (("morercpthosts", source), ("morercpthosts.cdb", database)):
        if time is not None:
            path = home / "control" / name
            path.write_bytes(b"")
            os.utime(path, (time, time))

    assert f"\nmorercpthosts.cdb: {text}\n" in describe(home)


def test_unknown_files_come_last_and_in_order(home: Path) -> None:
    for name in ("zebra", "aardvark", "badrcptto"):
        (home / "control" / name).write_text("")

    assert describe(home).endswith(
        "\nbadrcptto: \n"
        "\naardvark: I have no idea what this file does.\n"
        "\nzebra: I have no idea what this file does.\n"
    )
