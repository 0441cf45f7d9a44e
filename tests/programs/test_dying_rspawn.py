"""A whole home whose qmail-rspawn is killed: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.holding_host import HoldingHost
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = 6

pytestmark = [pytest.mark.process, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


@pytest.fixture
def home() -> Iterator[PrivateHome]:
    with PrivateHome() as home:
        yield home
        home.kill_all()


@pytest.mark.timeout(120)
def test_what_a_killed_rspawn_was_at_is_delivered_after_the_next_start(home: PrivateHome) -> None:
    with HoldingHost().running() as host:
        home.write("control/smtproutes", f":127.0.0.1:{host.port}\n")
        home.write("control/concurrencyremote", "40\n")
        home.start()
        for number in range(MESSAGES):
            text = b"To: ann@far.example\nSubject: number %d\n\nhello\n" % number
            home.inject(text)
        host.wait_for(MESSAGES)

        home.kill("qmail-rspawn")
        home.wait_for_log("alert: oh no! lost spawn connection! dying...")
        home.wait(lambda: not home.runs() or home.processes("qmail-rspawn"), "nothing happened")
        if not home.runs():
            home.start()
        host.go_on()
        home.wait_until_empty()

        subjects = [re.findall(rb"^Subject: (.*)\r$", text, re.MULTILINE) for text in host.taken]
        assert sorted(subjects) == [[b"number %d" % number] for number in range(MESSAGES)]
    assert home.log().count("success: 127.0.0.1_accepted_message") == MESSAGES
