from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import pytest
from scramp import ScramMechanism
from tests.support.scram import keys_of

from pyqmail.protocol.smtp import auth
from pyqmail.protocol.smtp.client import ClientSession, Path, Phase
from pyqmail.protocol.smtp.client_auth import (
    GIVE_UP,
    MAX_ITERATIONS,
    ClientExchange,
    CramMd5,
    Login,
    Plain,
    ScramSha256,
    choose_exchange,
)
from pyqmail.protocol.smtp.server_reply import MalformedReply

if TYPE_CHECKING:
    from pyqmail.protocol.smtp.auth import Step

LOGIN, PASSWORD = b"joe", b"secret word: 1"


def converse(exchange: ClientExchange, server: auth.Exchange) -> Step:
    """Let our client and our server talk until the server has a question for its store."""
    _, _, *initial = exchange.command().split(b" ")
    step = server.begin(b64decode(initial[0]) if initial else None)
    while isinstance(step, auth.Challenge):
        step = server.receive(b64decode(exchange.respond(b64encode(step.data)), validate=True))
    return step


@pytest.mark.parametrize(("exchange", "server"), [(Plain, auth.Plain), (Login, auth.Login)])
def test_our_server_understands_the_claim(
    exchange: type[Plain | Login], server: type[auth.Plain | auth.Login]
) -> None:
    claim = converse(exchange(LOGIN, PASSWORD), server())

    assert claim == auth.PasswordClaim(LOGIN, PASSWORD)


def test_the_digest_is_that_of_the_standard() -> None:
    exchange = CramMd5(b"tim", b"tanstaaftanstaaf")  # RFC 2195 §2
    challenge = b64encode(b"<1896.697170952@postoffice.reston.mci.net>")

    answer = b64decode(exchange.respond(challenge))

    assert exchange.command() == b"AUTH CRAM-MD5"
    assert answer == b"tim b913a602c7eda7a495b4e6e7334d3890"


def scram(exchange: ClientExchange, password: str) -> None:
    server = auth.ScramSha256("nonce")
    _, _, initial = exchange.command().split(b" ")
    assert isinstance(server.begin(b64decode(initial)), auth.KeysWanted)
    step = server.take_keys(keys_of(password))
    while isinstance(step, auth.Challenge):
        step = server.receive(b64decode(exchange.respond(b64encode(step.data))))


def test_scram_proves_both_to_each_other() -> None:
    exchange = ScramSha256(LOGIN, PASSWORD)

    scram(exchange, PASSWORD.decode())

    assert exchange.satisfied


def test_scram_with_a_wrong_password_is_refused() -> None:
    exchange = ScramSha256(LOGIN, PASSWORD)

    with pytest.raises(auth.AuthenticationRefused):
        scram(exchange, "another")
    assert not exchange.satisfied


def first_challenge(exchange: ScramSha256, iterations: int) -> bytes:
    bare = b64decode(exchange.command().split(b" ")[2])
    nonce = bare.rpartition(b"r=")[2]
    return b64encode(b"r=%bmore,s=%b,i=%d" % (nonce, b64encode(b"salt" * 4), iterations))


def test_a_server_that_does_not_prove_itself_does_not_satisfy() -> None:
    exchange = ScramSha256(LOGIN, PASSWORD)
    assert exchange.respond(first_challenge(exchange, 4096)) != GIVE_UP

    assert exchange.respond(b64encode(b"v=" + b64encode(b"x" * 32))) == GIVE_UP
    assert not exchange.satisfied


def test_no_server_makes_us_compute_for_long() -> None:
    exchange = ScramSha256(LOGIN, PASSWORD)

    assert exchange.respond(first_challenge(exchange, MAX_ITERATIONS + 1)) == GIVE_UP


@pytest.mark.parametrize("challenge", [b"!", b"cg==", b64encode(b"r=x,s=,i=1"), b64encode(b"\xff")])
@pytest.mark.parametrize("mechanism", [ScramSha256, Plain])
def test_a_challenge_that_makes_no_sense_ends_the_exchange(
    mechanism: type[ScramSha256 | Plain], challenge: bytes
) -> None:
    exchange = mechanism(LOGIN, PASSWORD)
    exchange.command()

    assert exchange.respond(challenge) == GIVE_UP
    assert exchange.over


def test_login_is_not_asked_for_a_third_time() -> None:
    exchange = Login(LOGIN, PASSWORD)

    said = [exchange.respond(b64encode(b"whatever")) for _ in range(3)]

    assert said == [b64encode(LOGIN), b64encode(PASSWORD), GIVE_UP]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([b"LOGIN", b"PLAIN", b"CRAM-MD5", b"SCRAM-SHA-256"], ScramSha256),
        ([b"LOGIN", b"PLAIN", b"CRAM-MD5"], CramMd5),
        ([b"LOGIN", b"PLAIN"], Plain),
        ([b"LOGIN"], Login),
        ([b"XOAUTH2", b"GSSAPI"], type(None)),
        ([], type(None)),
    ],
)
def test_what_gives_the_least_away_is_chosen(offered: list[bytes], chosen: type[object]) -> None:
    assert type(choose_exchange(offered, LOGIN, PASSWORD)) is chosen


@pytest.mark.parametrize("password", [b"\xff", "a\u0007b".encode()])
def test_a_password_that_scram_cannot_have_is_sent_otherwise(password: bytes) -> None:
    exchange = choose_exchange([b"SCRAM-SHA-256", b"PLAIN"], LOGIN, password)

    assert isinstance(exchange, Plain)


def test_scram_is_the_mechanism_of_the_library() -> None:
    assert ScramMechanism(ScramSha256.mechanism.decode()).name == "SCRAM-SHA-256"


def idle_session() -> ClientSession:
    session = ClientSession(b"me.example")
    session.receive_data(b"220 far\r\n250-far\r\n250 AUTH LOGIN\r\n")
    while session.next_answer():
        session.data_to_send()
    return session


def test_a_session_answers_challenges_by_itself() -> None:
    session = idle_session()
    session.authenticate(Login(LOGIN, PASSWORD))
    said = [session.data_to_send()]
    for challenge in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"):
        session.receive_data(challenge)
        assert session.next_answer() is None
        said.append(session.data_to_send())
    session.receive_data(b"235 welcome\r\n")
    answer = session.next_answer()

    lines = [b"AUTH LOGIN", b64encode(LOGIN), b64encode(PASSWORD)]
    assert said == [line + b"\r\n" for line in lines]
    assert answer is not None
    assert (answer.phase, answer.accepted, session.idle) == (Phase.LOGIN, True, True)


@pytest.mark.parametrize("reply", [b"535 no\r\n", b"454 later\r\n", b"334 !\r\n501 well\r\n"])
def test_a_login_that_fails_leaves_the_session_idle(reply: bytes) -> None:
    session = idle_session()
    session.authenticate(Plain(LOGIN, PASSWORD))
    session.receive_data(reply)
    answer = session.next_answer()

    assert answer is not None
    assert (answer.accepted, session.idle) == (False, True)


def test_who_goes_on_asking_after_we_gave_up_is_no_server() -> None:
    session = idle_session()
    session.authenticate(Plain(LOGIN, PASSWORD))
    session.receive_data(b"334 !\r\n334 !\r\n")

    with pytest.raises(MalformedReply):
        session.next_answer()


def test_no_login_in_the_middle_of_a_transaction() -> None:
    session = idle_session()
    session.begin(Path(b"s@x"), [Path(b"a@y")])

    with pytest.raises(RuntimeError):
        session.authenticate(Plain(LOGIN, PASSWORD))
