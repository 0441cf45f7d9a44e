from __future__ import annotations

import tracemalloc
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest

from pyqmail.message.multipart_report import Report
from pyqmail.message.report import failure_note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

HEADER = b"Subject: failure notice\n"
BREAK = b"--- Below this line is a copy of the message.\n\n"
MEBIBYTE = 1 << 20


def report_of(
    message: bytes, recipient: bytes = b"a@b", why: bytes = b"no", **more: bytes
) -> bytes:
    notes = failure_note(recipient, why)
    text = b"Hi. This is the\n\n" + notes + BREAK
    words = iter([more.get("word", b"word"), b"another"])
    report = Report(lambda: [text], lambda: [notes], lambda: [message], b"host", 0)
    return b"".join(report.pieces(HEADER, 0, lambda: next(words)))


def read(report: bytes) -> list[Message]:
    """Read it as Python's email package does."""
    message = message_from_bytes(report)
    assert message.get_content_type() == "multipart/report"
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert [part.defects for part in (message, *parts)] == [[], [], [], []]
    return [message, *parts]


def test_the_whole_report_of_a_plain_message_is_as_the_standards_want_it() -> None:
    assert report_of(b"Subject: x\n\nhello\n", why=b"no (#5.1.1)") == (
        b"Subject: failure notice\n"
        b"Message-ID: <19700101000000.word.qmail@host>\n"
        b"Auto-Submitted: auto-replied\n"
        b"MIME-Version: 1.0\n"
        b"Content-Type: multipart/report; report-type=delivery-status;\n"
        b' boundary="word"\n'
        b"\n--word\n"
        b"Content-Type: text/plain; charset=us-ascii\n"
        b"\n"
        b"Hi. This is the\n\n<a@b>:\nno (#5.1.1)\n\n"
        b"--- Below this line is a copy of the message.\n\n"
        b"\n--word\n"
        b"Content-Type: message/delivery-status\n"
        b"\n"
        b"Reporting-MTA: dns; host\n"
        b"Arrival-Date: 1 Jan 1970 00:00:00 -0000\n"
        b"\n"
        b"Final-Recipient: rfc822; a@b\n"
        b"Action: failed\n"
        b"Status: 5.1.1\n"
        b"\n--word\n"
        b"Content-Type: message/rfc822\n"
        b"\n"
        b"Subject: x\n\nhello\n"
        b"\n--word--\n"
    )


def test_a_word_that_is_in_the_message_is_no_boundary() -> None:
    assert read(report_of(b"\nis --word in it?\n"))[0].get_boundary() == "another"


def test_a_word_that_is_in_the_text_is_no_boundary() -> None:
    assert read(report_of(b"\n", why=b"--word"))[0].get_boundary() == "another"


@pytest.mark.parametrize(
    ("message", "why", "encodings"),
    [
        (b"a\n", b"no", [None, None, None, None]),
        (b"\xfc\n", b"no", ["8bit", None, None, "8bit"]),
        (b"a\n", b"\xfc", ["8bit", "8bit", None, None]),
        (b"\0\n", b"\xfc", ["binary", "8bit", None, "binary"]),
        (b"\xfc\n", b"x" * 999, ["binary", "binary", None, "8bit"]),
        (b"x" * 999, b"no", ["binary", None, None, "binary"]),
    ],
)
def test_every_label_is_true_and_that_of_the_whole_holds_all(
    message: bytes, why: bytes, encodings: list[str | None]
) -> None:
    parts = read(report_of(b"\n" + message, why=why))

    assert [part["Content-Transfer-Encoding"] for part in parts] == encodings


@pytest.mark.parametrize(
    ("why", "charset"),
    [(b"no", "us-ascii"), ("ü".encode(), "utf-8"), (b"\xfc", "unknown-8bit")],
)
def test_the_text_names_its_character_set(why: bytes, charset: str) -> None:
    text = read(report_of(b"\n", why=why))[1]

    assert text.get_content_charset() == charset
    assert text.get_payload(decode=True) == b"Hi. This is the\n\n<a@b>:\n" + why + b"\n\n" + BREAK


def test_an_address_beyond_ascii_makes_the_status_international() -> None:
    whole, _, status, message = read(report_of(b"\n", recipient="ü@b".encode()))

    assert whole.get_param("report-type") == "global-delivery-status"
    assert status.get_content_type() == "message/global-delivery-status"
    assert status["Content-Transfer-Encoding"] == whole["Content-Transfer-Encoding"] == "8bit"
    assert b"\nFinal-Recipient: utf-8; \xc3\xbc@b\n" in status.as_bytes()
    assert message.get_content_type() == "message/rfc822"


def test_an_address_that_is_no_utf8_leaves_the_status_as_it_is() -> None:
    status = read(report_of(b"\n", recipient=b"\xfc@b"))[2]

    assert status.get_content_type() == "message/delivery-status"
    assert status.get_payload()[1]["Final-Recipient"] == "rfc822; ?@b"


def test_a_header_section_beyond_ascii_makes_the_message_international() -> None:
    whole, _, status, message = read(report_of("Subject: ü\n\nhello\n".encode()))

    assert message.get_content_type() == "message/global"
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert status.get_content_type() == "message/delivery-status"
    assert whole.get_param("report-type") == "delivery-status"


def test_a_message_without_a_line_end_at_its_end_gets_none() -> None:
    message = read(report_of(b"Subject: x\n\nhello"))[3]

    assert message.get_payload()[0].as_bytes() == b"Subject: x\n\nhello"


def test_a_large_message_is_not_held_in_memory() -> None:
    def message() -> Iterator[bytes]:
        yield b"Subject: large\n\n"
        for _ in range(50 * 16):
            yield b"x" * 63 + b"\n" + b"y" * (MEBIBYTE // 16 - 64)

    report = Report(lambda: [BREAK], list, message, b"host", 0)
    tracemalloc.start()
    try:
        size = sum(map(len, report.pieces(HEADER, 0, lambda: b"word")))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert size > 50 * MEBIBYTE
    assert peak < 2 * MEBIBYTE
