"""A whole home whose qmail-rspawn is killed: nothing is lost, and little comes twice."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.support.holding_host import HoldingHost
from tests.support.private_home import PrivateHome, why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

MESSAGES = 6
MANY = 60  # under load
DEATHS = 3  # at moments that nobody has chosen

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
        host.wait_until_held(MESSAGES)

        home.kill("qmail-rspawn")
        home.wait_until_logged("alert: oh no! lost spawn connection! dying...")
        home.wait(lambda: not home.runs() or home.processes("qmail-rspawn"), "nothing happened")
        if not home.runs():
            home.start()
        host.go_on()
        home.wait_until_empty()

        subjects = [re.findall(rb"^Subject: (.*)\r$", text, re.MULTILINE) for text in host.taken]
        assert sorted(subjects) == [[b"number %d" % number] for number in range(MESSAGES)]
    assert home.log().count("success: 127.0.0.1_accepted_message") == MESSAGES


def in_flight_at_deaths(log: str) -> Counter[bytes]:
    """Return how often a delivery to each recipient had begun, and had no report, at a death."""
    running: dict[str, bytes] = {}
    found: Counter[bytes] = Counter()
    for line in log.splitlines():
        if begun := re.fullmatch(r"starting delivery (\d+): msg \d+ to remote (.*)", line):
            running[begun[1]] = begun[2].encode()
        elif ended := re.match(r"delivery (\d+): ", line):
            del running[ended[1]]
        elif "lost spawn connection" in line:
            found.update(running.values())
            running.clear()
    return found


@pytest.mark.timeout(180)
def test_deaths_at_any_moment_under_load_lose_nothing_and_repeat_what_was_in_flight(
    home: PrivateHome,
) -> None:
    chance = random.Random()
    alert = "alert: oh no! lost spawn connection! dying..."
    with HoldingHost().running() as host:
        host.go_on()
        home.write("control/smtproutes", f":127.0.0.1:{host.port}\n")
        home.start()
        tried: Counter[bytes] = Counter()
        load = threading.Thread(target=inject_all, args=(home, tried))
        load.start()
        for death in range(1, DEATHS + 1):
            time.sleep(chance.uniform(0.1, 0.8))
            home.kill("qmail-rspawn")
            home.wait_until_logged(alert, death)
            home.wait(lambda: not home.runs() or running(home), "nothing happened")
            if not home.runs():
                home.start()
        load.join()
        home.wait_until_empty()

    log = home.log()
    taken = [re.findall(rb"^To: (.*)\r$", text, re.MULTILINE) for text in host.taken]
    copies = Counter(path for paths in taken for path in paths)
    assert set(copies) == {b"r%d@far.example" % number for number in range(MANY)}
    assert copies - tried <= in_flight_at_deaths(log)
    assert log.count(alert) == DEATHS
    assert "mangled" not in log
    assert " failure: " not in log


def inject_all(home: PrivateHome, tried: Counter[bytes]) -> None:
    """Have a message to each recipient accepted; where a home is going down, at a later attempt."""
    for number in range(MANY):
        path = b"r%d@far.example" % number
        accepted = False
        while not accepted:
            tried[path] += 1
            text = b"To: " + path + b"\n\nhello\n"
            accepted = home.run("qmail-inject", text=text).returncode == 0


def running(home: PrivateHome) -> list[int]:
    return home.processes("qmail-rspawn")
