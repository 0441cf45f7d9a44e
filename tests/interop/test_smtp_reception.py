"""Mail that comes by SMTP into a whole running home: who exists, what arrives, who hears of it."""

from __future__ import annotations

import os
import signal
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest
from tests.support.private_home import HOST, PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]

# A delivery that fails for good, so that there is something to bounce.
FAILS = "|exit 100\n"


@pytest.fixture
def home() -> Iterator[PrivateHome]:
    """Give a running home with aku and kamu; mail for aku-broken fails."""
    with PrivateHome("aku", "kamu") as home:
        home.write("home/aku/.qmail-broken", FAILS)
        home.write("home/aku/.qmail-broken-too", FAILS)
        home.write("control/rcpthosts", HOST + "\n")
        home.start()
        yield home


def say(home: PrivateHome, *lines: str) -> list[str]:
    """Say `lines` to qmail-smtpd at once; return what it answers, without the greeting."""
    wire = "".join(line + "\r\n" for line in (*lines, "QUIT")).encode()
    answer = home.run("qmail-smtpd", text=wire)
    assert answer.returncode == 0, answer
    return answer.stdout.decode().splitlines()[1:]


def message(*recipients: str, sender: str = f"kamu@{HOST}") -> list[str]:
    paths = [f"RCPT TO:{recipient}" for recipient in recipients]
    return [f"MAIL FROM:<{sender}>", *paths, "DATA", "Subject: x", "", "secret text", "."]


def test_who_does_not_exist_is_refused_at_the_door(home: PrivateHome) -> None:
    lines = say(
        home,
        "MAIL FROM:<sue@far.example.net>",
        f"RCPT TO:<aku@{HOST}>",
        f"RCPT TO:<nobody@{HOST}>",
        f"RCPT TO:<aku-broken@{HOST}>",
        f"RCPT TO:<aku-nix@{HOST}>",
        f"RCPT TO:<postmaster@{HOST}>",
    )

    unknown = "550 sorry, no mailbox here by that name. (#5.1.1)"
    assert lines[1:-1] == ["250 ok", unknown, "250 ok", unknown, "250 ok"]


def test_where_that_is_not_checked_the_sender_gets_a_bounce(home: PrivateHome) -> None:
    home.write("control/recipientcheck", "0\n")

    lines = say(home, *message(f"<nobody@{HOST}>"))
    home.wait_until_empty()

    assert lines[1] == "250 ok"
    assert b"no mailbox here by that name" in home.mail("kamu")[0]


def test_chunks_arrive_as_one_message(home: PrivateHome) -> None:
    say(
        home,
        "MAIL FROM:<sue@far.example.net>",
        f"RCPT TO:<aku@{HOST}>",
        "BDAT 12",
        "Subject: x\r\nBDAT 9 LAST",
        "\r\n.\r\nab",
    )
    home.wait_until_empty()

    assert home.mail("aku")[0].endswith(b"Subject: x\n\n.\nab\n")


def test_a_failure_that_nobody_wants_to_hear_of_is_not_told(home: PrivateHome) -> None:
    say(home, *message(f"<aku-broken@{HOST}> NOTIFY=NEVER"))
    home.wait_until_logged("end msg")
    home.wait_until_empty()

    assert home.mail("kamu") == []


def test_a_bounce_says_what_the_sender_asked_for_and_no_more(home: PrivateHome) -> None:
    first, *rest = message(
        f"<aku-broken@{HOST}> NOTIFY=FAILURE ORCPT=rfc822;a+2Bb@{HOST}",
        f"<aku-broken-too@{HOST}> NOTIFY=SUCCESS",
    )
    say(home, first + " RET=HDRS ENVID=number+20one", *rest)
    home.wait_until_empty()

    (bounce,) = home.mail("kamu")
    _, status, header = message_from_bytes(bounce).get_payload()
    whole, recipient = status.get_payload()
    assert whole["Original-Envelope-Id"] == "number one"
    assert recipient["Original-Recipient"] == f"rfc822;a+b@{HOST}"
    assert recipient["Final-Recipient"] == f"rfc822; aku-broken@{HOST}"
    assert header.get_content_type() == "text/rfc822-headers"
    assert b"aku-broken-too" not in bounce
    assert b"secret text" not in bounce


def test_wishes_survive_a_restart(home: PrivateHome) -> None:
    home.write("home/aku/.qmail-broken", "|test -e ../../mend && exit 100; exit 111\n")
    say(home, *message(f"<aku-broken@{HOST}> NOTIFY=NEVER"))
    home.wait_until_logged("deferral: ")
    assert home.stop() == 0

    home.write("mend", "")
    home.start()
    for pid in home.processes("qmail-send"):
        os.kill(pid, signal.SIGALRM)  # try again now
    home.wait_until_empty()

    assert home.mail("kamu") == []


def test_who_asked_to_hear_of_success_hears_of_it(home: PrivateHome) -> None:
    home.write("home/aku/.qmail-on", f"&kamu@{HOST}\n")
    first, *rest = message(f"<aku@{HOST}> NOTIFY=SUCCESS", f"<aku-on@{HOST}> NOTIFY=SUCCESS")

    say(home, first + " ENVID=one", *rest)
    home.wait(lambda: len(home.mail("kamu")) == 3, "two notices and the forwarded message")
    home.wait_until_empty()

    notices = [mail for mail in home.mail("kamu") if b"multipart/report" in mail]
    fields = [message_from_bytes(notice).get_payload()[1].get_payload() for notice in notices]
    assert {(about["Final-Recipient"], about["Action"]) for _, about in fields} == {
        (f"rfc822; aku@{HOST}", "delivered"),
        (f"rfc822; aku-on@{HOST}", "relayed"),
    }
    assert {whole["Original-Envelope-Id"] for whole, _ in fields} == {"one"}
    assert not any(b"secret text" in notice for notice in notices)
    assert len(home.mail("aku")) == 1
