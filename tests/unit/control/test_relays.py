"""smtproutes, smtproutes_auth and tlspolicy: what their lines mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.control.maps import ColonMap
from pyqmail.control.smtproutes import Relay
from pyqmail.control.smtproutes_auth import Login, find_login
from pyqmail.control.tlspolicy import Policy, Rule, find_rule

if TYPE_CHECKING:
    from pathlib import Path

JOE, ANN = Login(b"joe", b"secret"), Login(b"ann", b"pass  word: #1")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "control").mkdir()
    return tmp_path


def write(home: Path, text: bytes, mode: int = 0o600) -> None:
    path = home / "control/smtproutes_auth"
    path.write_bytes(text)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("lines", "relay", "login"),
    [
        (b"relay joe secret\n", Relay(b"Relay", 25), JOE),
        (b"relay joe secret\n", Relay(b"relay", 587), JOE),
        (b"relay:587 joe secret\n", Relay(b"relay", 587), JOE),
        (b"relay:587 joe secret\n", Relay(b"relay", 25), None),
        (b"relay joe secret\nrelay:587 ann pass  word: #1\n", Relay(b"relay", 587), ANN),
        (b"relay:587 ann pass  word: #1\nrelay joe secret\n", Relay(b"relay", 587), ANN),
        (b"relay ann x\nrelay joe secret\n", Relay(b"relay", 25), JOE),
        (b"[::1]:587 joe secret\n", Relay(b"[::1]", 587), JOE),
        (b"#relay joe secret\n\n", Relay(b"relay", 25), None),
        (b"other joe secret\n", Relay(b"relay", 25), None),
        (b"relay joe secret \t\r\n", Relay(b"relay", 25), JOE),
    ],
)
def test_a_login_is_for_its_relay(
    home: Path, lines: bytes, relay: Relay, login: Login | None
) -> None:
    write(home, lines)

    assert find_login(str(home), relay) == login


def test_without_a_file_nobody_logs_in(home: Path) -> None:
    assert find_login(str(home), Relay(b"relay")) is None


@pytest.mark.parametrize("line", [b"relay", b"relay joe", b"relay  joe secret", b"relay joe "])
def test_a_line_that_is_no_login_is_an_error_that_does_not_show_it(home: Path, line: bytes) -> None:
    write(home, line + b"\n")

    with pytest.raises(ControlError) as failure:
        find_login(str(home), Relay(b"relay"))

    assert "joe" not in str(failure.value)


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o610, 0o601])
def test_a_file_for_more_than_its_owner_is_an_error(home: Path, mode: int) -> None:
    write(home, b"relay joe secret\n", mode)

    with pytest.raises(ControlError, match="chmod 600"):
        find_login(str(home), Relay(b"relay"))


@pytest.mark.parametrize(
    ("lines", "relay", "rule"),
    [
        ([b"a.b.c:none"], None, Rule(Policy.NONE)),
        ([b".b.c:encrypt", b":none"], None, Rule(Policy.ENCRYPT)),
        ([b".c:may", b".b.c:Verify"], None, Rule(Policy.VERIFY)),
        ([b"b.c:none"], None, None),
        ([b":verify:x:.y"], None, Rule(Policy.VERIFY, (b"x", b".y"))),
        ([b"relay.d:none"], b"relay.d", Rule(Policy.NONE)),
        ([b".d:none"], b"relay.d", Rule(Policy.NONE)),
        ([b"relay.d:none"], None, None),
        ([b"relay.d:none", b".b.c:encrypt"], b"relay.d", Rule(Policy.ENCRYPT)),
        ([b"relay.d:none", b":encrypt"], b"relay.d", Rule(Policy.NONE)),
        ([], b"relay.d", None),
    ],
)
def test_the_host_decides_before_the_relay_and_both_before_the_empty_key(
    lines: list[bytes], relay: bytes | None, rule: Rule | None
) -> None:
    assert find_rule(ColonMap(lines), b"a.b.c", relay) == rule


@pytest.mark.parametrize("value", [b"", b"maybe", b"none:x", b"encrypt:x"])
def test_a_policy_that_is_none_is_an_error(value: bytes) -> None:
    with pytest.raises(ControlError):
        find_rule(ColonMap([b":" + value]), b"a", None)
