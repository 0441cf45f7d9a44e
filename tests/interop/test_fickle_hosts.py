"""Whatever the other side does, no recipient is lost: delivered, bounced, or still queued.

All accidents happen to one home at the same time. Each must be in its log, with
the words of the host that it happened with.
"""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from tests.support.bounces import failed_recipients
from tests.support.fickle_host import Accident, Behaviour, FickleHost, fickle_hosts
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("fickle hosts"),
]

NOBODY_THERE = 1  # a port where nobody listens
SILENCE = 8  # seconds that we wait for an answer
PATIENCE = 60  # seconds for all of it
PAUSE = 0.5  # seconds between two looks: the hosts live in the process that looks
LONG = 100_000  # bytes of a reply; more than twice as much is none any more
MAX_WORDS = 5200  # bytes of a line: 5000 of what the host says, and our own

DIED = "Connected_to_127.0.0.1_but_connection_died."
REFUSED = "127.0.0.1_does_not_like_recipient./Remote_host_said:_"
SENDER = "Connected_to_127.0.0.1_but_sender_was_rejected./Remote_host_said:_"
DATA = "127.0.0.1_failed_on_DATA_command./Remote_host_said:_"
END = "127.0.0.1_failed_after_I_sent_the_message./Remote_host_said:_"
TLS = b"250-fickle.example\r\n250 STARTTLS\r\n"
DEMANDED = "tls-demanded"


def closes(step: str) -> Behaviour:
    return Behaviour({step: Accident.CLOSE})


def says(step: str, reply: bytes, **others: bytes) -> Behaviour:
    return Behaviour({step: reply, **others})


# name of the host: (what it does at first, how the first attempt ends, in which words)
CASES = {
    "good": (Behaviour(), "success", "127.0.0.1_accepted_message./Remote_host_said:_250_kept/"),
    "slow": (Behaviour(pause=0.01), "success", "127.0.0.1_accepted_message."),
    "old": (says("EHLO", b"502 what\r\n"), "success", "127.0.0.1_accepted_message."),
    "absent": (None, "deferral", "Sorry,_I_wasn't_able_to_establish_an_SMTP_connection."),
    # It hangs up.
    "close-connect": (closes("CONNECT"), "deferral", DIED + "_(#4.4.2)/"),
    "close-ehlo": (closes("EHLO"), "deferral", DIED + "_(#4.4.2)/"),
    "close-mail": (closes("MAIL"), "deferral", DIED + "_(#4.4.2)/"),
    "close-rcpt": (closes("RCPT"), "deferral", DIED + "_(#4.4.2)/"),
    "close-data": (closes("DATA"), "deferral", DIED + "_(#4.4.2)/"),
    "close-text": (Behaviour({"END": Accident.VANISH}), "deferral", DIED),
    "close-end": (closes("END"), "deferral", DIED + "_Possible_duplicate!_(#4.4.2)/"),
    # It says nothing.
    "silent": (Behaviour({"CONNECT": Accident.SILENCE}), "deferral", DIED + "_(#4.4.2)/"),
    "silent-rcpt": (Behaviour({"RCPT": Accident.SILENCE}), "deferral", DIED + "_(#4.4.2)/"),
    "silent-end": (
        Behaviour({"END": Accident.SILENCE}),
        "deferral",
        DIED + "_Possible_duplicate!_(#4.4.2)/",
    ),
    # It has to go.
    "421-connect": (
        says("CONNECT", b"421 4.3.2 going down\r\n"),
        "deferral",
        "Connected_to_127.0.0.1_but_greeting_failed./Remote_host_said:_421_4.3.2_going_down/",
    ),
    "421-ehlo": (
        says("EHLO", b"421 not now\r\n"),
        "deferral",
        "Connected_to_127.0.0.1_but_my_name_was_rejected./Remote_host_said:_421_not_now/",
    ),
    "421-mail": (says("MAIL", b"421 not now\r\n"), "deferral", SENDER + "421_not_now/"),
    "421-rcpt": (says("RCPT", b"421 not now\r\n"), "deferral", REFUSED + "421_not_now/"),
    "421-data": (says("DATA", b"421 not now\r\n"), "deferral", DATA + "421_not_now/"),
    "421-end": (says("END", b"421 not now\r\n"), "deferral", END + "421_not_now/"),
    # It refuses, for now.
    "451-mail": (says("MAIL", b"451 busy\r\n"), "deferral", SENDER + "451_busy/"),
    "451-rcpt": (
        says("RCPT", b"451-come\r\n451 later\r\n"),
        "deferral",
        REFUSED + "451-come/451_later/",
    ),
    "451-data": (says("DATA", b"451 busy\r\n"), "deferral", DATA + "451_busy/"),
    "451-end": (says("END", b"451 busy\r\n"), "deferral", END + "451_busy/"),
    "554-connect": (
        says("CONNECT", b"554 no mail here\r\n"),
        "deferral",
        "Connected_to_127.0.0.1_but_greeting_failed./Remote_host_said:_554_no_mail_here/",
    ),
    "554-name": (
        says("EHLO", b"554 who\r\n", HELO=b"554 are you\r\n"),
        "deferral",
        "Connected_to_127.0.0.1_but_my_name_was_rejected./Remote_host_said:_554_are_you/",
    ),
    # It refuses for good.
    "550-mail": (says("MAIL", b"550 not you\r\n"), "failure", SENDER + "550_not_you/"),
    "550-rcpt": (says("RCPT", b"550 no joe\r\n"), "failure", REFUSED + "550_no_joe/"),
    "554-data": (says("DATA", b"554 no\r\n"), "failure", DATA + "554_no/"),
    "554-end": (says("END", b"554 5.7.1 spam\r\n"), "failure", END + "554_5.7.1_spam/"),
    # It offers TLS, and does not speak it.
    "tls-refused": (says("STAR", b"454 no TLS now\r\n", EHLO=TLS), "success", "accepted_message."),
    "tls-broken": (says("STAR", b"220 go\r\n", EHLO=TLS), "success", "accepted_message."),
    "tls-closed": (
        Behaviour({"STAR": Accident.CLOSE, "EHLO": TLS}),
        "success",
        "accepted_message.",
    ),
    "tls-demanded": (
        says("STAR", b"454 no TLS now\r\n", EHLO=TLS),
        "deferral",
        "Connected_to_127.0.0.1_but_it_refused_TLS./Remote_host_said:_454_no_TLS_now/",
    ),
    # It talks nonsense.
    "lf-alone": (says("CONNECT", b"220 hi\n"), "success", "127.0.0.1_accepted_message."),
    # Each answer is taken for that to the command before.
    "too-early": (
        says("CONNECT", b"220 hi\r\n250 x\r\n250 y\r\n250 z\r\n"),
        "deferral",
        DATA + "250-fickle.example/250-PIPELINING/250_8BITMIME/",
    ),
    "no-number": (says("MAIL", b"hello\r\n"), "failure", SENDER + "hello/"),
    "binary": (says("CONNECT", b"\xff\0\xfe\r\n"), "deferral", "but_greeting_failed."),
    "long-line": (says("MAIL", b"450 " + b"x" * LONG + b"\r\n"), "deferral", "xxx"),
    "many-lines": (
        says("MAIL", b"450-x\r\n" * (LONG // 7) + b"450 x\r\n"),
        "deferral",
        "450-x/450-x/",
    ),
    "endless": (says("MAIL", b"250" + b"-" * 3_000_000), "deferral", DIED),
    # It is never any better.
    "never": (
        Behaviour({"RCPT": b"450 full\r\n"}, always=True),
        "deferral",
        REFUSED + "450_full/",
    ),
}
STAYS = {"never", "absent", DEMANDED}
BOUNCES = {name for name, (_, result, _) in CASES.items() if result == "failure"}


@dataclass
class Account:
    """What the log says of one recipient: how each attempt ended, and in which words."""

    results: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def accounts(log: str) -> dict[str, Account]:
    """Return what became of the recipients, by the host in their address."""
    whom, found = {}, {name: Account() for name in CASES}
    for line in log.splitlines():
        if match := re.search(
            r"starting delivery (\d+): msg \d+ to remote joe@(\S+)\.example", line
        ):
            whom[match[1]] = match[2]
        if (match := re.search(r"delivery (\d+): (\w+): (.*)", line)) and match[1] in whom:
            account = found[whom.pop(match[1])]
            account.results.append(match[2])
            account.words.append(match[3])
    return found


class Story:
    """What has happened when all is over."""

    def __init__(self, home: PrivateHome, hosts: dict[str, FickleHost]) -> None:
        self.accounts = accounts(home.log())
        self.kept = {name: host.messages for name, host in hosts.items()}
        self.log = home.log()
        self.bounces = home.mail("aku")
        waiting = "".join(_read(path) for path in home.queued() if "/remote/" in path)
        self.queued = set(re.findall(r"Tjoe@([\w-]+)\.example", waiting))


def _read(path: str) -> str:
    with open(path, encoding="latin-1") as file:
        return file.read()


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """Send one message to each host; have those that were deferred tried once more."""
    behaviours = {name: behaviour for name, (behaviour, _, _) in CASES.items() if behaviour}
    with PrivateHome("aku") as home, fickle_hosts(behaviours) as hosts:
        home.write("control/timeoutremote", f"{SILENCE}\n")
        home.write("control/concurrencyremote", f"{len(CASES)}\n")
        ports = {name: hosts[name].port if name in hosts else NOBODY_THERE for name in CASES}
        home.write("control/tlspolicy", f"{DEMANDED}.example:encrypt\n")
        routes = (f"{name}.example:127.0.0.1:{port}\n" for name, port in ports.items())
        home.write("control/smtproutes", "".join(routes))
        home.start()
        for name in CASES:
            home.inject(b"Subject: x\n\nhello\n", "-faku@mail.example.org", f"joe@{name}.example")
        home.wait(lambda: tried(home), "not all were tried", PATIENCE)
        home.wait(lambda: retried(home), "one was forgotten", PATIENCE)
        home.wait(lambda: len(home.mail("aku")) >= len(BOUNCES), "bounces lack", PATIENCE)
        home.stop()
        yield Story(home, hosts)


def tried(home: PrivateHome) -> bool:
    """Say whether the first attempt of each is over."""
    time.sleep(PAUSE)
    return all(account.results for account in accounts(home.log()).values())


def retried(home: PrivateHome) -> bool:
    """Have what was deferred tried again now; say whether all had their second chance."""
    os.kill(home.pid, signal.SIGALRM)  # else they wait for the time of the next attempt
    time.sleep(PAUSE)
    found = accounts(home.log())
    return all(
        account.results[-1] != "deferral" or (name in STAYS and len(account.results) > 1)
        for name, account in found.items()
    )


@pytest.mark.parametrize("name", CASES)
def test_an_accident_is_in_the_log_in_the_words_of_who_had_it(story: Story, name: str) -> None:
    _, result, words = CASES[name]

    account = story.accounts[name]

    assert account.results[0] == result
    assert words in account.words[0]
    assert len(account.words[0]) < MAX_WORDS


@pytest.mark.parametrize("name", sorted(set(CASES) - BOUNCES - STAYS))
def test_who_was_not_refused_for_good_has_it_once(story: Story, name: str) -> None:
    ((recipients, text),) = story.kept[name]

    assert recipients == [f"joe@{name}.example".encode()]
    assert text.endswith(b"\r\n\r\nhello\r\n")
    assert story.accounts[name].results[-1] == "success"


@pytest.mark.parametrize("name", sorted(BOUNCES))
def test_who_was_refused_for_good_is_in_one_bounce(story: Story, name: str) -> None:
    failed = [each for bounce in story.bounces for each in failed_recipients(bounce)]

    (failure,) = (each for each in failed if each.address == f"joe@{name}.example")

    assert (failure.action, failure.status[:2]) == ("failed", "5.")
    answer = next(iter(CASES[name][0].answers.values())).decode().strip()
    # What is no reply is in the text for people, and is no diagnostic code (RFC 3464 §2.3.6).
    assert failure.diagnostic == (f"smtp; {answer}" if answer[:3].isdigit() else "")


def test_each_recipient_is_accounted_for(story: Story) -> None:
    failed = {each.address for bounce in story.bounces for each in failed_recipients(bounce)}
    bounced = {address.partition("@")[2].removesuffix(".example") for address in failed}
    delivered = {name for name, messages in story.kept.items() if messages}

    assert (delivered, bounced, story.queued) == (set(CASES) - BOUNCES - STAYS, BOUNCES, STAYS)


def test_nothing_that_a_host_does_is_unforeseen(story: Story) -> None:
    assert "unexpected" not in story.log
    assert "Traceback" not in story.log
    assert "warning" not in story.log
