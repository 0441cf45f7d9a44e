"""What holds of the client's side of SMTP, wherever the stream is cut and whatever is said."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pyqmail.protocol.smtp.client import Answer, ClientSession, Path
from pyqmail.protocol.smtp.server_reply import MalformedReply

DIALOG = (
    b"220-far\r\n220 ESMTP\r\n250-far\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
    b"250 ok\r\n550-no\r\n550 \rsuch\r\n250 ok\n354\r\n"
)


def drive(chunks: list[bytes]) -> tuple[list[Answer], bytes]:
    session = ClientSession(b"me")
    answers: list[Answer] = []
    for chunk in chunks:
        session.receive_data(chunk)
        while (answer := session.next_answer()) is not None:
            answers.append(answer)
            if len(answers) == 2:
                session.begin(Path(b"s@x"), [Path(b"a@y"), Path(b"b@y")])
    return answers, session.data_to_send()


@given(cuts=st.lists(st.integers(0, len(DIALOG))))
def test_where_the_stream_is_cut_changes_nothing(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(DIALOG)]
    chunks = [DIALOG[a:b] for a, b in pairwise(edges)]

    answers, sent = drive(chunks)

    assert (answers, sent) == drive([DIALOG])
    assert len(answers) == 6


@given(st.lists(st.binary(max_size=40)))
def test_whatever_a_server_says_is_answers_or_malformed(chunks: list[bytes]) -> None:
    session = ClientSession(b"me")
    heard = 0
    try:
        for chunk in chunks:
            session.receive_data(chunk)
            while session.next_answer() is not None:
                heard += 1
    except MalformedReply:
        heard = -1

    assert heard <= 2
