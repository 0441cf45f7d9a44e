"""What holds of our side of a login, whatever a server says."""

from __future__ import annotations

from base64 import b64decode, b64encode

from hypothesis import given
from hypothesis import strategies as st

from pyqmail.protocol.smtp.client import ClientSession
from pyqmail.protocol.smtp.client_auth import GIVE_UP, ScramSha256, choose_exchange
from pyqmail.protocol.smtp.server_reply import MalformedReply

MECHANISMS = [b"SCRAM-SHA-256", b"CRAM-MD5", b"PLAIN", b"LOGIN"]

# What a server of SCRAM could say, and what it should not.
attributes = st.lists(
    st.tuples(st.sampled_from("rsivemc"), st.text(max_size=30)).map("=".join)
    | st.sampled_from(
        ["i=4096", "i=0", "i=-1", "i=99999999999", "s=QSXCR+Q6sek8bf92", "e=x", "v="]
    ),
    max_size=5,
).map(",".join)
challenges = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(str.encode).map(b64encode),
    attributes.map(str.encode).map(b64encode),
)


@given(said=st.lists(challenges, max_size=4), keeps_nonce=st.booleans())
def test_scram_answers_or_gives_up_and_is_satisfied_by_nobody_who_guesses(
    said: list[bytes], *, keeps_nonce: bool
) -> None:
    exchange = ScramSha256(b"joe", b"secret")
    nonce = b64decode(exchange.command().split(b" ")[2]).rpartition(b"r=")[2]
    if keeps_nonce:
        said = [b64encode(b"r=%bmore,s=QSXCR+Q6sek8bf92,i=4096" % nonce), *said]
    for challenge in said:
        answer = exchange.respond(challenge)
        assert answer == GIVE_UP or b64decode(answer, validate=True) is not None
        assert b"\n" not in answer

    assert not exchange.satisfied


@given(
    mechanism=st.sampled_from(MECHANISMS),
    said=st.lists(
        st.one_of(
            challenges.map(lambda text: b"334 " + text.replace(b"\n", b"") + b"\r\n"),
            st.sampled_from([b"235 ok\r\n", b"535 no\r\n", b"334\r\n", b"334-a\r\n334 b\r\n"]),
            st.binary(max_size=30),
        ),
        max_size=6,
    ),
)
def test_a_login_ends_in_an_answer_or_in_nonsense(mechanism: bytes, said: list[bytes]) -> None:
    session = ClientSession(b"me")
    session.receive_data(b"220 far\r\n250 far\r\n")
    while session.next_answer():
        session.data_to_send()
    exchange = choose_exchange([mechanism], b"joe", b"secret")
    assert exchange is not None
    session.authenticate(exchange)
    lines = 0
    try:
        for piece in said:
            session.receive_data(piece)
            while session.next_answer() is not None:
                pass
            lines += session.data_to_send().count(b"\r\n")
    except MalformedReply:
        lines += 1

    assert lines <= 1 + len(b"".join(said))
