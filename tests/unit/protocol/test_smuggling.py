"""SMTP smuggling: one message that hides another.

Two servers that disagree about where a message ends can be made to see two
where the sender had one. So a message is sent whose body holds every mix of CR,
LF, dot and NUL, followed by a second transaction that is part of that body.
Whatever the mix, either the end is exactly CR LF . CR LF, or no second
transaction is ever seen.
"""

from __future__ import annotations

from itertools import product

import pytest
from tests.support.smtp import Outcome, converse

START = b"EHLO client\r\nMAIL FROM:<sue@example.net>\r\nRCPT TO:<joe@example.org>\r\nDATA\r\n"
FIRST = b"Subject: first\r\n\r\nbody"
SECOND = b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\nsecond\r\n.\r\n"
END = b"\r\n.\r\n"

MIXES = [bytes(mix) for length in range(1, 7) for mix in product(b"\r\n.\0", repeat=length)]


def senders(outcome: Outcome) -> list[bytes]:
    return [reverse_path for reverse_path, _, _ in outcome.messages]


def has_bare_line_feed(text: bytes) -> bool:
    return text.count(b"\n") != text.count(b"\r\n")


def true_end(mix: bytes) -> int:
    """Return where the message ends in `mix`, or -1."""
    end = mix.find(END)
    return -1 if end < 0 or has_bare_line_feed(mix[:end]) else end + len(END)


@pytest.mark.parametrize("length", range(1, 7))
def test_no_mix_of_line_ends_smuggles_a_message(length: int) -> None:
    for mix in (mix for mix in MIXES if len(mix) == length):
        outcome = converse([START + FIRST + mix + SECOND + END + b"QUIT\r\n"])

        end = true_end(mix)
        if end < 0:
            assert b"evil@example.net" not in senders(outcome), mix
        if has_bare_line_feed(mix if end < 0 else mix[:end]):
            assert outcome.messages == [], mix


@pytest.mark.parametrize("length", range(1, 5))
def test_where_the_bytes_are_cut_smuggles_nothing(length: int) -> None:
    for mix in (mix for mix in MIXES if len(mix) == length):
        wire = START + FIRST + mix + SECOND + END
        whole = converse([wire])
        middle = len(START + FIRST)

        for cut in range(middle - 1, middle + length + 2):
            assert converse([wire[:cut], wire[cut:]]) == whole, (mix, cut)
        assert converse([wire[n : n + 1] for n in range(len(wire))]) == whole, mix


@pytest.mark.parametrize(
    "mix", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\n.\r", b".\n", b"\n", b"\r\n.\r\r\n\n"]
)
def test_after_a_broken_message_nothing_is_a_command(mix: bytes) -> None:
    outcome = converse([START + FIRST + mix + END + SECOND + b"NOOP\r\nQUIT\r\n"])

    assert outcome.messages == []
    assert outcome.replies.count(b"\r\n") == 5  # EHLO, MAIL, RCPT, DATA, and the refusal
    assert outcome.replies.endswith(b"451 See https://cr.yp.to/docs/smtplf.html.\r\n")


@pytest.mark.parametrize(
    "mix", [b"\r.\r", b"\r\n.\r.\r\n", b"\0.\0", b"\r\r\n", b"\r\n..\r\n", b"\r\n.\0\r\n"]
)
def test_a_good_message_with_odd_bytes_is_one_message(mix: bytes) -> None:
    outcome = converse([START + FIRST + mix + SECOND[: -len(END)] + END + b"QUIT\r\n"])

    assert senders(outcome) == [b"sue@example.net"]
    assert outcome.messages[0][2].startswith(b"Subject: first\n\nbody")


@pytest.mark.parametrize("junk", [b"\n", b"\0\n", b"\r\r\n\n", b".\n"])
def test_a_line_feed_between_two_transactions_does_not_begin_a_command(junk: bytes) -> None:
    outcome = converse([START + FIRST + END + junk + SECOND])

    assert senders(outcome) == [b"sue@example.net"]


@pytest.mark.parametrize(
    "command",
    [
        b"MAIL FROM:<a@b>\nRCPT TO:<ann@example.org>\r\n",
        b"RSET\nMAIL FROM:<evil@example.net>\r\n",
        b"HELO x\n\rMAIL FROM:<evil@example.net>\r\n",
    ],
)
def test_a_command_is_one_line_or_none(command: bytes) -> None:
    outcome = converse([command])

    assert outcome.replies == b"502 unimplemented (#5.5.1)\r\n"


@pytest.mark.parametrize("byte", [b"\r", b"\r\r"])
def test_no_address_carries_a_line_end_further(byte: bytes) -> None:
    outcome = converse([b"MAIL FROM:<a" + byte + b"RSET@b>\r\n"])

    assert outcome.replies == b"555 syntax error (#5.5.4)\r\n"


@pytest.mark.parametrize("length", range(1, 6))
def test_no_mix_of_line_ends_in_a_chunk_smuggles_or_loses_a_message(length: int) -> None:
    for mix in (mix for mix in MIXES if len(mix) == length):
        body = FIRST + mix + SECOND
        envelope = START.removesuffix(b"DATA\r\n")
        outcome = converse(
            [envelope + b"BDAT %d LAST\r\n" % len(body) + body + SECOND + b"NOOP\r\n"]
        )

        broken = has_bare_line_feed(body)
        assert senders(outcome) == [b"sue@example.net"] * (not broken) + [b"evil@example.net"], mix
        assert outcome.replies.endswith(b"354 go ahead\r\n250 ok\r\n250 ok\r\n"), mix


@pytest.mark.parametrize("mix", [b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n"])
def test_where_a_message_is_cut_into_chunks_smuggles_nothing(mix: bytes) -> None:
    body = FIRST + mix + SECOND
    envelope = START.removesuffix(b"DATA\r\n")
    for cut in range(len(body) + 1):
        first, second = body[:cut], body[cut:]
        wire = b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (len(first), first, len(second), second)

        outcome = converse([envelope + wire + b"NOOP\r\n"])

        assert senders(outcome) == [b"sue@example.net"] * (not has_bare_line_feed(body)), cut
        assert outcome.replies.endswith(b"250 ok\r\n"), cut


@pytest.mark.parametrize("mix", [b"\r\n..\r\n", b"\r.\r", b"\0\r\n", b"\r\n.\0"])
def test_a_good_message_is_never_refused_wherever_it_is_cut(mix: bytes) -> None:
    wire = START + FIRST + mix + b"text" + END + SECOND + b"QUIT\r\n"
    whole = converse([wire])

    assert senders(whole) == [b"sue@example.net", b"evil@example.net"]
    for cut in range(len(wire) + 1):
        assert converse([wire[:cut], wire[cut:]]) == whole, cut
