from __future__ import annotations

from typing import TYPE_CHECKING

import crypt_r
import pytest
from tests.support.logins import LoginHome

from pyqmail.login import trial
from pyqmail.login.guesses import MAX_OF_ADDRESS, MIN_DELAY
from pyqmail.login.trial import Verdict, attempt

if TYPE_CHECKING:
    from pathlib import Path

HERE = b"192.0.2.1"
HASH = crypt_r.crypt("secret", crypt_r.METHOD_MD5)


@pytest.fixture
def home(tmp_path: Path) -> LoginHome:
    made = LoginHome(tmp_path)
    made.users(f"joe:{HASH}", f"lost:{HASH}", "broken:x")
    return made


def test_the_right_password_waits_for_nothing(home: LoginHome) -> None:
    outcome = attempt(home.path, HERE, b"joe", b"secret")

    assert (outcome.verdict, outcome.wait) == (Verdict.ACCEPTED, 0)
    assert outcome.login is not None


@pytest.mark.parametrize("name", [b"joe", b"nobody-here"])
def test_a_refusal_takes_the_same_time_whether_the_name_is_known_or_not(
    home: LoginHome, name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 100.25])
    monkeypatch.setattr(trial.time, "monotonic", lambda: next(clock))

    outcome = attempt(home.path, HERE, name, b"wrong")

    assert outcome.verdict is Verdict.REFUSED
    assert outcome.wait == MIN_DELAY - 0.25


def test_guesses_at_one_user_count_whichever_of_his_names_is_given(home: LoginHome) -> None:
    waits = [
        attempt(home.path, address, name, b"wrong").wait
        for address, name in [
            (b"192.0.2.1", b"joe"),
            (b"192.0.2.2", b"joe@example.org"),
            (b"192.0.2.3", b"Joe@Example.ORG"),
            (b"192.0.2.4", b"joe@example.com"),
        ]
    ]

    assert waits == pytest.approx([1, 2, 4, 1], abs=0.9)


@pytest.mark.parametrize("name", [b"lost", b"broken"])
def test_what_nobody_can_decide_is_no_guess(home: LoginHome, name: bytes) -> None:
    for _ in range(2 * MAX_OF_ADDRESS):
        assert attempt(home.path, HERE, name, b"secret").verdict is Verdict.UNDECIDED

    assert attempt(home.path, HERE, b"joe", b"secret").verdict is Verdict.ACCEPTED


def test_after_too_many_guesses_even_the_right_password_must_wait(home: LoginHome) -> None:
    for _ in range(MAX_OF_ADDRESS):
        attempt(home.path, HERE, b"joe", b"wrong")

    outcome = attempt(home.path, HERE, b"joe", b"secret")

    assert outcome.verdict is Verdict.UNDECIDED
    assert outcome.login is None
    assert outcome.wait == MIN_DELAY


def test_any_number_of_right_ones_blocks_nobody(home: LoginHome) -> None:
    verdicts = {
        attempt(home.path, HERE, b"joe", b"secret").verdict for _ in range(3 * MAX_OF_ADDRESS)
    }

    assert verdicts == {Verdict.ACCEPTED}
