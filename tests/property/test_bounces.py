"""Whatever a message holds and whoever refuses it: its bounce can be read, and nobody forges it."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes

from hypothesis import given
from hypothesis import strategies as st

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.message.delivery_status import parse_notes
from pyqmail.send.bounces import BounceSettings, FailedMessage, compose, note
from pyqmail.send.routing import Routing

SETTINGS = BounceSettings(
    b"MAILER-DAEMON", b"b.example", b"postmaster@b.example", is_multipart=True, bouncemaxbytes=0
)
ROUTING = Routing(ConstantMap([]), ColonMap([]), ConstantMap([]), b"here")

# Random bytes, and what somebody would write who wants to be taken for something else.
FORGERIES = st.lists(
    st.sampled_from(
        [
            *(b"\n", b"\r", b"\r\n", b"\0", b" ", b"\t", b"\xfc", b"\xc3\xbc", b"x" * 1000),
            *(b"--word", b"--word--", b"--another", b"word", b"<z@z>:", b"--- Below this line"),
            *(b"Content-Type: text/plain", b"Status: 2.0.0", b"Action: delivered", b"(#2.1.5)"),
            *(b"Remote host said: 550-no", b"550 5.1.1 no", b"Connected to 1.2.3.4 but", b":"),
            *(b"Final-Recipient: rfc822; z@z", b"@", b"Subject: s", b"(#5.1.1)", b"\x0b", b"\x85"),
        ]
    )
).map(b"".join)
ANY = st.binary(max_size=300) | FORGERIES
FAILURES = st.lists(st.tuples(ANY, ANY), min_size=1, max_size=4)


def bounce_of(
    message: bytes, failures: list[tuple[bytes, bytes]], settings: BounceSettings, size: int
) -> bytes:
    notes = b"".join(note(recipient, text, ROUTING) for recipient, text in failures)

    def in_pieces(text: bytes) -> list[bytes]:
        return [text[at : at + size] for at in range(0, len(text), size)]

    failed = FailedMessage(
        b"joe@a.example", len(message), 0, lambda: in_pieces(message), lambda: in_pieces(notes)
    )
    words = iter([b"word", b"another", b"last"])
    bounce = compose(failed, settings, 0, lambda: next(words))
    assert bounce is not None
    return b"".join(bounce.pieces)


def parts_of(report: bytes) -> list[tuple[bytes, bytes]]:
    """Return header and content of each part, cut at the boundary and nowhere else."""
    header, _, body = report.partition(b"\n\n")
    boundary = header.partition(b'boundary="')[2].partition(b'"')[0]
    assert header.count(boundary) == 2  # Message-ID and Content-Type
    preamble, *parts, epilogue = (b"\n" + body).split(b"\n--" + boundary)
    assert (preamble, epilogue) == (b"", b"--\n")
    cut = [part.removeprefix(b"\n").partition(b"\n\n") for part in parts]
    return [(part_header, content) for part_header, _, content in cut]


@given(ANY, FAILURES, st.integers(1, 400), st.sampled_from([0, 1, 10, 100]))
def test_text_and_message_are_the_bytes_of_the_original(
    message: bytes, failures: list[tuple[bytes, bytes]], size: int, limit: int
) -> None:
    settings = replace(SETTINGS, bouncemaxbytes=limit)
    original = bounce_of(message, failures, replace(settings, is_multipart=False), size)

    report = bounce_of(message, failures, settings, size)

    text, _, copy = parts_of(report)
    header, _, body = original.partition(b"\n\n")
    assert report.startswith(header + b"\n")
    assert text[1] + copy[1] == body
    assert copy[1] == b"Return-Path: <joe@a.example>\n" + message[: limit or None]


@given(ANY, FAILURES)
def test_a_stranger_finds_three_parts_and_every_recipient(
    message: bytes, failures: list[tuple[bytes, bytes]]
) -> None:
    report = message_from_bytes(bounce_of(message, failures, SETTINGS, 100))

    text, status, copy = report.get_payload()

    assert report.get_content_type() == "multipart/report"
    assert report["Subject"] == "failure notice"
    assert text.get_content_type() == "text/plain"
    assert str(copy.get_payload()[0]["Return-Path"]).startswith("<joe@a.example>")
    if status.get_content_type() == "message/delivery-status":
        whole, *recipients = status.get_payload()
        assert whole.keys() == ["Reporting-MTA", "Arrival-Date"]
        assert len(recipients) == len(failures)
        for fields in recipients:
            assert set(fields.keys()) <= {
                *("Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code")
            }
            assert fields.get_all("Action") == ["failed"]
            assert len(fields.get_all("Status")) == 1
            assert fields["Status"][0] in "45"


@given(ANY, FAILURES)
def test_the_fields_for_programs_are_lines_of_plain_text(
    message: bytes, failures: list[tuple[bytes, bytes]]
) -> None:
    header, status = parts_of(bounce_of(message, failures, SETTINGS, 100))[1]

    if b"global" not in header:
        assert status.isascii()
    status.decode()
    assert not set(status) & (set(range(32)) - set(b"\n"))
    assert status.count(b"\nFinal-Recipient: ") == len(failures)
    assert status.count(b"\n\n") == len(failures)


@given(FAILURES)
def test_nobody_begins_a_paragraph_in_the_name_of_another(
    failures: list[tuple[bytes, bytes]],
) -> None:
    notes = [note(recipient, text, ROUTING) for recipient, text in failures]

    # As a reader sees them for whom LF, CR LF and CR end a line.
    seen = b"".join(notes).replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    paragraphs = [piece for piece in seen.split(b"\n\n") if piece.strip(b"\n")]
    assert len(paragraphs) == len(failures)
    assert len(list(parse_notes([b"".join(notes)]))) == len(failures)


@given(ANY, FAILURES)
def test_every_label_is_true(message: bytes, failures: list[tuple[bytes, bytes]]) -> None:
    text, status, copy = parts_of(bounce_of(message, failures, SETTINGS, 50))

    for header, content in (text, copy):
        assert (header.partition(b"Content-Transfer-Encoding: ")[2] or b"7bit") == need_of(content)
    # An address of which the end is left out may have become plain.
    assert need_of(status[1]) == b"7bit" or b": 8bit" in status[0]


def need_of(content: bytes) -> bytes:
    if (
        b"\0" in content
        or b"\r" in content.replace(b"\r\n", b"\n")
        or max(map(len, content.split(b"\n"))) > 998
    ):
        return b"binary"
    return b"7bit" if content.isascii() else b"8bit"
