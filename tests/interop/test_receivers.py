"""Mail servers that others wrote receive what leaves a whole home of ours."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support import opensmtpd, postfix
from tests.support.aiosmtpd_receiver import Aiosmtpd
from tests.support.bounces import failed_recipients
from tests.support.certificates import Authority
from tests.support.exim import Exim
from tests.support.opensmtpd import OpenSmtpd
from tests.support.places import ordinary_place
from tests.support.postfix_receiver import PostfixReceiver
from tests.support.private_home import PrivateHome, why_not
from tests.support.receivers import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.receivers import Receiver

pytestmark = [
    pytest.mark.process,
    pytest.mark.peer,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("receivers"),
]

# (receiver, why it cannot run here)
RECEIVERS = [
    pytest.param((Exim, None), id="exim"),
    pytest.param((PostfixReceiver, postfix.why_not), id="postfix"),
    pytest.param((OpenSmtpd, opensmtpd.why_not), id="opensmtpd"),
    pytest.param((Aiosmtpd, None), id="aiosmtpd"),
]

BODY = (
    b"\n.\n..\n.dot\n \n"
    b"From here on\n"
    b"trailing blanks  \t\n"
    b"gr\xc3\xbc\xc3\x9fe, and latin \xe9\xe8\xff\n" + b"x" * 900 + b"\n\n.\n.\n"
)


@pytest.fixture(scope="module")
def home() -> Iterator[PrivateHome]:
    """Give a home with the user aku that runs."""
    with PrivateHome("aku") as home:
        home.start()
        yield home


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, home: PrivateHome) -> Iterator[Receiver]:
    """Give a receiver that runs, and to which the home knows the way."""
    kind, reason = request.param
    if reason is not None and reason() is not None:
        pytest.skip(f"{kind.name}: {reason()}")
    with ordinary_place() as top:
        folder = top / kind.name
        folder.mkdir()
        with kind(folder, Authority()).running() as receiver:
            home.write("control/smtproutes", receiver.routes())
            yield receiver


@pytest.fixture
def receiver(place: Receiver, home: PrivateHome) -> Receiver:
    home.remove_mail("aku")
    place.empty()
    return place


def send(home: PrivateHome, *recipients: str, subject: str = "x", body: bytes = b"hello\n") -> None:
    head = f"Subject: {subject}\nFrom: aku@mail.example.org\n\n"
    home.inject(head.encode() + body, "-faku@mail.example.org", *recipients)


def arrived(home: PrivateHome, receiver: Receiver, count: int = 1) -> list[bytes]:
    """Return what has arrived once it is `count` messages and the home has nothing more to send."""
    home.wait(lambda: len(receiver.mail()) >= count, f"it did not arrive: {receiver.log()}")
    home.wait_until_empty()
    return receiver.mail()


def bounce_of(home: PrivateHome) -> bytes:
    """Return the one bounce that has come."""
    home.wait(lambda: bool(home.mail("aku")), "no bounce came")
    home.wait_until_empty()
    (bounce,) = home.mail("aku")
    return bounce


def body_of(message: bytes) -> bytes:
    return message.partition(b"\n\n")[2]


@pytest.mark.parametrize("place", RECEIVERS, indirect=True)
def test_a_letter_arrives_whole_and_once(home: PrivateHome, receiver: Receiver) -> None:
    variants = [name for name in receiver.variants if name not in ("tls", "strict")]
    for variant in variants:
        send(home, f"joe@{receiver.domain(variant)}", subject=f"to {variant}", body=BODY)

    messages = arrived(home, receiver, len(variants))

    assert [body_of(message) for message in messages] == [BODY] * len(variants)
    for variant in variants:
        assert sum(b"\nSubject: to %b\n" % variant.encode() in text for text in messages) == 1
    assert home.mail("aku") == []


@pytest.mark.parametrize("place", RECEIVERS, indirect=True)
def test_refused_recipients_come_back_and_the_others_get_it_once(
    home: PrivateHome, receiver: Receiver
) -> None:
    domain = receiver.domain("plain")

    send(home, *(f"{name}@{domain}" for name in ("joe", "stranger", "ann", "nobody")))
    home.wait(lambda: len(receiver.recipients()) >= 2, "it did not arrive")
    bounce = bounce_of(home)

    assert receiver.recipients() == [f"ann@{domain}", f"joe@{domain}"]
    failed = failed_recipients(bounce)
    assert {each.address for each in failed} == {f"stranger@{domain}", f"nobody@{domain}"}
    for each in failed:
        assert (each.action, each.status[0]) == ("failed", "5")
        assert each.diagnostic.startswith("smtp; 5")
    assert b"127.0.0.1 does not like recipient.\nRemote host said: 5" in bounce


@pytest.mark.parametrize("place", RECEIVERS, indirect=True)
def test_a_letter_that_is_too_large_comes_back(home: PrivateHome, receiver: Receiver) -> None:
    variants = [name for name in receiver.variants if name not in ("tls", "strict")]

    for variant in variants:
        send(home, f"joe@{receiver.domain(variant)}", body=b"too much\n" * (MAX_SIZE // 8))
    home.wait(lambda: len(home.mail("aku")) == len(variants), "no bounce came")

    for bounce in home.mail("aku"):
        (failed,) = failed_recipients(bounce)
        assert failed.diagnostic.startswith("smtp; 55")
    assert receiver.mail() == []


@pytest.mark.parametrize("place", RECEIVERS[:2], indirect=True)
def test_who_is_turned_away_at_first_comes_back_later(
    home: PrivateHome, receiver: Receiver
) -> None:
    written, domain = len(home.log()), receiver.domain("plain")

    send(home, f"grey@{domain}", f"joe@{domain}")
    home.wait(lambda: "Greylisted" in home.log()[written:], "nobody was turned away")
    home.wait(lambda: len(receiver.mail()) == 1, "joe was turned away too")

    os.kill(home.pid, signal.SIGALRM)  # else it waits for the time of the next attempt
    arrived(home, receiver, 2)

    assert receiver.recipients() == [f"grey@{domain}", f"joe@{domain}"]
    assert "deferral: 127.0.0.1_does_not_like_recipient./Remote_host_said:_45" in home.log()
    assert home.mail("aku") == []
