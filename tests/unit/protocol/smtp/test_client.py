from __future__ import annotations

import pytest

from pyqmail.protocol.smtp.client import WINDOW, Answer, ClientSession, Path, Phase
from pyqmail.protocol.smtp.data_encoder import PartialLastLine
from pyqmail.protocol.smtp.server_reply import MalformedReply

OK = b"250 ok\r\n"
PIPELINING = b"250-far\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"


def answers(session: ClientSession, said: bytes) -> list[Answer]:
    session.receive_data(said)
    found = []
    while (answer := session.next_answer()) is not None:
        found.append(answer)
    return found


def phases(session: ClientSession, said: bytes) -> list[tuple[Phase, bool]]:
    return [(answer.phase, answer.accepted) for answer in answers(session, said)]


def idle_session(hello: bytes = b"250 far\r\n") -> ClientSession:
    session = ClientSession(b"me.example")
    answers(session, b"220 far ESMTP\r\n" + hello)
    session.data_to_send()
    return session


def test_after_the_greeting_the_session_says_ehlo() -> None:
    session = ClientSession(b"me.example")

    assert phases(session, b"220 far\r\n") == [(Phase.GREETING, True)]
    assert session.data_to_send() == b"EHLO me.example\r\n"
    assert phases(session, PIPELINING) == [(Phase.HELLO, True)]
    assert session.extensions == {b"PIPELINING": b"", b"SIZE": b"1000"}
    assert session.idle


@pytest.mark.parametrize("greeting", [b"200 x\r\n", b"250 x\r\n", b"421 x\r\n", b"554 x\r\n"])
def test_only_220_greets(greeting: bytes) -> None:
    session = ClientSession(b"me.example")

    assert phases(session, greeting) == [(Phase.GREETING, False)]
    assert session.data_to_send() == b""


def test_helo_is_said_where_ehlo_is_refused() -> None:
    session = ClientSession(b"me.example")

    assert phases(session, b"220 far\r\n502 what\r\n") == [(Phase.GREETING, True)]
    assert session.data_to_send() == b"EHLO me.example\r\nHELO me.example\r\n"
    assert phases(session, b"250-far\r\n250 SIZE\r\n") == [(Phase.HELLO, True)]
    assert session.extensions == {}


def test_a_name_that_is_refused_twice_is_refused() -> None:
    session = ClientSession(b"me.example")

    assert phases(session, b"220 far\r\n550 no\r\n550 no\r\n")[1:] == [(Phase.HELLO, False)]


def test_helo_is_not_said_to_a_server_that_goes() -> None:
    session = ClientSession(b"me.example")

    assert phases(session, b"220 far\r\n421 bye\r\n")[1:] == [(Phase.HELLO, False)]
    assert session.data_to_send() == b"EHLO me.example\r\n"


def test_a_transaction_goes_step_by_step() -> None:
    session = idle_session()

    session.begin(Path(b"s@x", b" SIZE=10"), [Path(b"a@y"), Path(b"b@y")])
    steps = [(session.data_to_send(), phases(session, said)) for said in (OK, OK, OK)]
    asked = session.data_to_send()
    assert phases(session, b"354 go\r\n") == [(Phase.DATA, True)]
    wire = session.send_message(b".\n") + session.end_message()

    assert steps == [
        (b"MAIL FROM:<s@x> SIZE=10\r\n", [(Phase.SENDER, True)]),
        (b"RCPT TO:<a@y>\r\n", [(Phase.RECIPIENT, True)]),
        (b"RCPT TO:<b@y>\r\n", [(Phase.RECIPIENT, True)]),
    ]
    assert (asked, wire) == (b"DATA\r\n", b"..\r\n.\r\n")
    assert phases(session, OK) == [(Phase.MESSAGE, True)]
    assert session.idle


def test_nobody_asks_for_data_when_no_recipient_is_accepted() -> None:
    session = idle_session()

    session.begin(Path(b"s@x"), [Path(b"a@y"), Path(b"b@y")])
    assert phases(session, OK + b"550 no\r\n" + b"450 later\r\n")[1:] == [
        (Phase.RECIPIENT, False),
        (Phase.RECIPIENT, False),
    ]

    assert session.data_to_send().endswith(b"RCPT TO:<b@y>\r\n")
    assert session.idle


def test_a_refused_sender_ends_the_transaction() -> None:
    session = idle_session()

    session.begin(Path(b"s@x"), [Path(b"a@y")])
    assert phases(session, b"550 no\r\n") == [(Phase.SENDER, False)]

    assert session.data_to_send() == b"MAIL FROM:<s@x>\r\n"
    assert session.idle


def test_a_server_that_pipelines_hears_all_at_once() -> None:
    session = idle_session(PIPELINING)

    session.begin(Path(b"s@x"), [Path(b"a@y"), Path(b"b@y")])

    assert session.data_to_send() == (
        b"MAIL FROM:<s@x>\r\nRCPT TO:<a@y>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
    )
    assert phases(session, OK + b"550 no\r\n" + OK + b"354 go\r\n") == [
        (Phase.SENDER, True),
        (Phase.RECIPIENT, False),
        (Phase.RECIPIENT, True),
        (Phase.DATA, True),
    ]
    assert session.send_message(b"x\n") + session.end_message() == b"x\r\n.\r\n"


def test_data_that_was_asked_for_too_early_ends_with_nothing() -> None:
    session = idle_session(PIPELINING)

    session.begin(Path(b"s@x"), [Path(b"a@y")])
    session.data_to_send()
    phases(session, OK + b"550 no\r\n354 go\r\n")

    assert session.data_to_send() == b".\r\n"
    assert not session.idle
    assert phases(session, b"554 nobody\r\n") == [(Phase.MESSAGE, False)]
    assert session.idle


def test_no_more_commands_are_under_way_than_answers_have_room() -> None:
    session = idle_session(PIPELINING)

    session.begin(Path(b"s@x"), [Path(b"r@y")] * (2 * WINDOW))
    first = session.data_to_send().count(b"\r\n")
    answers(session, OK * 10)

    assert (first, session.data_to_send().count(b"\r\n")) == (WINDOW, 10)


@pytest.mark.parametrize("code", [b"200", b"250", b"299", b"421", b"554"])
def test_a_message_is_not_sent_to_a_server_that_reads_commands(code: bytes) -> None:
    session = idle_session()

    session.begin(Path(b"s@x"), [Path(b"a@y")])

    assert phases(session, OK + OK + code + b" x\r\n")[-1] == (Phase.DATA, False)


def test_one_session_carries_many_transactions() -> None:
    session = idle_session()

    for _ in range(3):
        session.begin(Path(b"s@x"), [Path(b"a@y")])
        answers(session, OK + OK + b"354 go\r\n")
        session.send_message(b"x\n")
        session.end_message()
        answers(session, OK)

    assert session.data_to_send().count(b"DATA\r\n") == 3


def test_a_transaction_that_came_to_nothing_is_reset_before_the_next() -> None:
    session = idle_session()
    session.begin(Path(b"s@x"), [Path(b"a@y")])
    answers(session, OK + b"550 no\r\n")
    session.data_to_send()
    assert (session.idle, session.needs_reset) == (True, True)

    session.begin(Path(b"t@x"), [Path(b"b@y")])

    assert session.data_to_send() == b"RSET\r\n"
    assert phases(session, OK) == [(Phase.RESET, True)]
    assert session.data_to_send() == b"MAIL FROM:<t@x>\r\n"


def test_nothing_begins_after_421() -> None:
    session = idle_session()
    session.begin(Path(b"s@x"), [Path(b"a@y")])
    answers(session, b"421 bye\r\n")

    with pytest.raises(RuntimeError):
        session.begin(Path(b"s@x"), [Path(b"a@y")])


def test_quit_is_said_only_where_it_is_a_command() -> None:
    idle, busy = idle_session(), idle_session(PIPELINING)
    busy.begin(Path(b"s@x"), [Path(b"a@y")])
    busy.data_to_send()

    idle.quit()
    busy.quit()

    assert (idle.data_to_send(), busy.data_to_send()) == (b"QUIT\r\n", b"")


def test_a_message_is_undecided_from_its_end_to_its_answer() -> None:
    session = idle_session()
    session.begin(Path(b"s@x"), [Path(b"a@y")])
    answers(session, OK + OK + b"354 go\r\n")
    session.send_message(b"x\n")
    before = session.undecided

    session.end_message()

    assert (before, session.undecided) == (False, True)
    answers(session, OK)
    assert not session.undecided


def test_a_message_without_end_is_not_ended() -> None:
    session = idle_session()
    session.begin(Path(b"s@x"), [Path(b"a@y")])
    answers(session, OK + OK + b"354 go\r\n")
    session.send_message(b"x")

    with pytest.raises(PartialLastLine):
        session.end_message()
    session.quit()

    assert session.data_to_send().endswith(b"DATA\r\n")


def test_a_reply_nobody_asked_for_is_malformed() -> None:
    with pytest.raises(MalformedReply):
        answers(idle_session(), OK)


@pytest.mark.parametrize("address", [b"a\rb", b"a\nb", b"a\r\nDATA"])
def test_no_address_becomes_a_command(address: bytes) -> None:
    session = idle_session()

    with pytest.raises(ValueError, match="one line"):
        session.begin(Path(address), [Path(b"a@y")])


OFFERING = b"250-far\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"


def test_under_tls_nothing_counts_that_was_said_before() -> None:
    session = idle_session(OFFERING)

    session.ask_for_tls()
    said = session.data_to_send()
    heard = phases(session, b"220 go\r\n")
    session.secured()

    assert (said, heard) == (b"STARTTLS\r\n", [(Phase.SECURITY, True)])
    assert session.extensions == {}
    assert session.data_to_send() == b"EHLO me.example\r\n"
    assert phases(session, b"250-far\r\n250 DSN\r\n") == [(Phase.HELLO, True)]
    assert session.extensions == {b"DSN": b""}


def test_helo_may_be_said_under_tls_and_then_nothing_is_offered() -> None:
    session = idle_session(OFFERING)
    session.ask_for_tls()
    answers(session, b"220 go\r\n")
    session.secured()

    assert phases(session, b"502 what\r\n250 far\r\n") == [(Phase.HELLO, True)]
    assert session.extensions == {}


@pytest.mark.parametrize("injected", [b"250 ok\r\n", b"2", b"\n"])
def test_what_comes_behind_the_consent_to_tls_is_no_answer(injected: bytes) -> None:
    session = idle_session(OFFERING)
    session.ask_for_tls()

    with pytest.raises(MalformedReply):
        answers(session, b"220 go\r\n" + injected)


def test_a_refusal_of_tls_leaves_the_session_as_it_was() -> None:
    session = idle_session(OFFERING)
    session.ask_for_tls()

    assert phases(session, b"454 not now\r\n") == [(Phase.SECURITY, False)]
    assert session.idle
    assert b"PIPELINING" in session.extensions


def test_a_refused_sender_gets_no_message_whatever_the_server_says_next() -> None:
    session = idle_session(PIPELINING)
    session.begin(Path(b"s@x"), [Path(b"a@y")])
    session.data_to_send()

    heard = phases(session, b"550 no\r\n250 ok\r\n354 go\r\n")

    assert heard[0] == (Phase.SENDER, False)
    assert session.data_to_send() == b".\r\n"
    assert phases(session, b"250 ok\r\n") == [(Phase.MESSAGE, True)]
    assert session.idle


@pytest.mark.parametrize("parameters", [b" X=\r\nDATA", b" X=\n"])
def test_no_parameter_becomes_a_command(parameters: bytes) -> None:
    session = idle_session()

    with pytest.raises(ValueError, match="one line"):
        session.begin(Path(b"s@x", parameters), [Path(b"a@y")])
