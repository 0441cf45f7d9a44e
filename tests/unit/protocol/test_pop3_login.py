from __future__ import annotations

import base64

import pytest

from pyqmail.protocol.pop3 import MAX_LINE, OK
from pyqmail.protocol.pop3_login import (
    AUTH,
    COMMON_CAPABILITIES,
    FAILED,
    MAX_IDLE_COMMANDS,
    AskCapabilities,
    Authenticate,
    LogIn,
    LoginSession,
    Offer,
    Response,
    StartTls,
)

FIRST = b"-ERR authorization first\r\n"
SYNTAX = b"-ERR syntax error\r\n"
NEEDS_TLS = b"-ERR no passwords in the clear here: say STLS first\r\n"


def session(*, extensions: bool = True, tls: bool = True, passwords: bool = True) -> LoginSession:
    """Return a session whose greeting is over."""
    made = LoginSession(b"<1.2@host>", Offer(extensions=extensions, tls=tls, passwords=passwords))
    assert made.data_to_send() == b"+OK <1.2@host>\r\n"
    return made


def say(made: LoginSession, text: bytes) -> bytes:
    """Say what leads to no event; return the answer."""
    made.receive_data(text + b"\r\n")
    assert made.next_event() is None
    return made.data_to_send()


def test_a_name_and_a_password_are_a_login() -> None:
    made = session()
    made.receive_data(b"USER joe\r\nPASS two words\r\n")

    event = made.next_event()

    assert isinstance(event, LogIn)
    assert (event.name, event.password) == (b"joe", b"two words")
    assert made.data_to_send() == OK


def test_a_digest_is_a_login() -> None:
    made = session()
    made.receive_data(b"APOP joe 0123456789abcdef\r\n")

    event = made.next_event()

    assert isinstance(event, LogIn)
    assert (event.name, event.password) == (b"joe", b"0123456789abcdef")


def test_what_comes_behind_a_login_is_for_the_session() -> None:
    made = session()
    made.receive_data(b"USER joe\r\nPASS x\r\nSTAT\r\nQU")

    assert isinstance(made.next_event(), LogIn)
    assert made.take_rest() == b"STAT\r\nQU"


@pytest.mark.parametrize("command", [b"CAPA", b"STLS", b"AUTH PLAIN", b"UTF8", b"AUTH"])
def test_without_extensions_they_are_unknown(command: bytes) -> None:
    assert say(session(extensions=False), command) == FIRST


@pytest.mark.parametrize(
    ("command", "kind"),
    [(b"CAPA", AskCapabilities), (b"stls", StartTls), (b"AUTH x", Authenticate)],
)
def test_with_extensions_they_are_events(command: bytes, kind: type) -> None:
    made = session()
    made.receive_data(command + b"\r\n")

    assert isinstance(made.next_event(), kind)


def capabilities(made: LoginSession) -> set[bytes]:
    made.receive_data(b"CAPA\r\n")
    assert isinstance(made.next_event(), AskCapabilities)
    made.tell_capabilities([b"SCRAM-SHA-256", b"PLAIN"])
    first, *lines, end, rest = made.data_to_send().split(b"\r\n")
    assert (first, end, rest) == (b"+OK ", b".", b"")
    return set(lines)


@pytest.mark.parametrize(
    ("tls", "passwords", "more"),
    [
        (True, True, {b"STLS", b"USER", b"SASL SCRAM-SHA-256 PLAIN"}),
        (False, True, {b"USER", b"SASL SCRAM-SHA-256 PLAIN"}),
        (True, False, {b"STLS", b"SASL SCRAM-SHA-256"}),
    ],
)
def test_capabilities_are_what_is_true_now(
    tls: bool,  # noqa: FBT001  a case of the table
    passwords: bool,  # noqa: FBT001
    more: set[bytes],
) -> None:
    assert capabilities(session(tls=tls, passwords=passwords)) == {*COMMON_CAPABILITIES, *more}


@pytest.mark.parametrize("command", [b"USER joe", b"PASS x", b"AUTH PLAIN AGpvZQB4"])
def test_where_no_password_may_be_said_in_the_clear_none_is_taken(command: bytes) -> None:
    assert say(session(passwords=False), command) == NEEDS_TLS


def test_after_tls_everything_said_before_is_forgotten() -> None:
    made = session()
    capabilities(made)
    made.receive_data(b"USER joe\r\nSTLS\r\nPASS injected\r\nQUIT\r\n")
    assert isinstance(made.next_event(), StartTls)

    made.begin_tls()
    made.offer = Offer(extensions=True, tls=False, passwords=True)

    assert made.data_to_send().endswith(b"+OK begin TLS now\r\n")
    assert made.next_event() is None
    assert not made.closed
    assert say(made, b"PASS x") == b"-ERR USER first\r\n"
    assert say(made, b"STLS") == b"-ERR no TLS here\r\n"
    assert not made.has_asked


def test_response_codes_are_for_those_who_have_asked_what_we_can() -> None:
    made = session()
    made.refuse(FAILED, AUTH)
    assert made.data_to_send() == b"-ERR authorization failed\r\n"

    capabilities(made)
    made.refuse(FAILED, AUTH)

    assert made.data_to_send() == b"-ERR [AUTH] authorization failed\r\n"


# AUTH.


def begin(made: LoginSession, argument: bytes) -> Authenticate:
    made.receive_data(b"AUTH " + argument + b"\r\n")
    event = made.next_event()
    assert isinstance(event, Authenticate)
    return event


@pytest.mark.parametrize(
    ("argument", "mechanism", "initial"),
    [
        (b"plain", b"PLAIN", None),
        (b"PLAIN AGpvZQB4", b"PLAIN", b"\0joe\0x"),
        (b"SCRAM-SHA-256 =", b"SCRAM-SHA-256", b""),
    ],
)
def test_a_mechanism_may_bring_an_initial_response(
    argument: bytes, mechanism: bytes, initial: bytes | None
) -> None:
    event = begin(session(), argument)

    assert (event.mechanism, event.initial) == (mechanism, initial)


@pytest.mark.parametrize("argument", [b"", b"PLAIN !", b"PLAIN AGpvZQB", b"PLAIN A=A="])
def test_what_is_not_base64_is_a_syntax_error(argument: bytes) -> None:
    assert say(session(), b"AUTH " + argument) == SYNTAX


def test_the_line_after_a_challenge_is_a_response_whatever_it_looks_like() -> None:
    made = session()
    begin(made, b"X")
    made.challenge(b"who?")
    assert made.data_to_send() == b"+ " + base64.b64encode(b"who?") + b"\r\n"
    made.receive_data(b"QUIT\r\n")  # happens to be base64

    event = made.next_event()

    assert isinstance(event, Response)
    assert event.data == base64.b64decode(b"QUIT")


@pytest.mark.parametrize(
    ("line", "answer"),
    [(b"*", b"-ERR cancelled\r\n"), (b"?", SYNTAX), (b"\0", SYNTAX)],
)
def test_an_exchange_can_be_cancelled_or_broken(line: bytes, answer: bytes) -> None:
    made = session()
    begin(made, b"X")
    made.challenge(b"")
    made.data_to_send()

    assert say(made, line) == answer
    assert say(made, b"NOOP") == OK


# Bounds.


def test_who_says_much_that_leads_nowhere_is_sent_away() -> None:
    made = session()
    for _ in range(MAX_IDLE_COMMANDS):
        assert say(made, b"NOOP") == OK

    assert say(made, b"NOOP") == OK + b"-ERR too many commands\r\n"
    assert made.closed


def test_a_line_without_end_is_refused_and_nothing_of_it_is_kept() -> None:
    made = session()
    for _ in range(100):
        made.receive_data(b"x" * MAX_LINE)
        assert made.next_event() is None
    assert made.take_rest() == b""

    made.receive_data(b"x" * 2 * MAX_LINE)
    assert say(made, b"x") == b"-ERR line too long\r\n"


@pytest.mark.parametrize("line", [b"USER a\0b", b"USER a"])
def test_a_nul_ends_a_line_as_ever(line: bytes) -> None:
    made = session()
    say(made, line)
    made.receive_data(b"PASS x\0y\r\n")

    event = made.next_event()

    assert isinstance(event, LogIn)
    assert (event.name, event.password) == (b"a", b"x")
