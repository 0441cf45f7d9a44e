from __future__ import annotations

import pytest

from pyqmail.message.delivery_status import (
    Note,
    is_international,
    message_fields,
    parse_notes,
    recipient_fields,
)

REFUSED = (
    b"192.0.2.7 does not like recipient.\n"
    b"Remote host said: 550 5.1.1 no such user\n"
    b"Giving up on 192.0.2.7."
)


def fields(text: bytes, recipient: bytes = b"ann@far.example", **how: bool) -> list[bytes]:
    how.setdefault("international", False)
    lines = recipient_fields(Note(recipient, text), **how).split(b"\n")
    assert lines[0] == lines[-1] == b""
    return lines[1:-1]


def field(name: bytes, text: bytes, **how: bool) -> bytes | None:
    found = [line for line in fields(text, **how) if line.startswith(name + b": ")]
    return found[0].partition(b": ")[2] if found else None


NOTES = b"<a@b>:\nno\n\n<>:\n\n\n<c>d@e>:\none\ntwo\n\nrubbish\n\n<no colon>\nx\n\n<last@b>:\nx\n"


def test_each_note_is_read_wherever_the_notes_are_cut() -> None:
    expected = [(b"a@b", b"no"), (b"", b""), (b"c>d@e", b"one\ntwo"), (b"last@b", b"x\n")]

    for cut in range(len(NOTES) + 1):
        failures = parse_notes([NOTES[:cut], NOTES[cut:]])
        assert [(failure.recipient, failure.text) for failure in failures] == expected


def test_the_message_as_a_whole_has_a_reporter_and_an_arrival() -> None:
    assert message_fields(b"b.example", 86400) == (
        b"Reporting-MTA: dns; b.example\nArrival-Date: 2 Jan 1970 00:00:00 -0000\n"
    )


def test_a_local_failure_has_what_the_standard_demands_and_nothing_else() -> None:
    assert fields(b"Sorry, no mailbox here by that name. (#5.1.1)") == [
        b"Final-Recipient: rfc822; ann@far.example",
        b"Action: failed",
        b"Status: 5.1.1",
    ]


def test_the_reply_of_a_remote_host_is_quoted() -> None:
    assert fields(REFUSED)[2:] == [
        b"Status: 5.1.1",
        b"Remote-MTA: dns; [192.0.2.7]",
        b"Diagnostic-Code: smtp; 550 5.1.1 no such user",
    ]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", b"5.0.0"),
        (b"no", b"5.0.0"),
        (b"no (#5.7.1)", b"5.7.1"),
        (b"no (#5.7.1) and (#5.2.2)", b"5.7.1"),
        (b"no (#x) (#2.0.0) (#5.1) (#5.1.1.1) (#5.-1.0) (#5.1.2)", b"5.1.2"),
        (b"no (#5.1234.1)", b"5.0.0"),
        (b"no (#5.01.1)", b"5.0.0"),
        (b"no (#5.0.0)", b"5.0.0"),
        (b"no (#5.7.1", b"5.7.1"),
        (b"timed out (#4.4.1)\nI'm not going to try again;", b"4.4.1"),
        (b"IP does not like recipient.\nRemote host said: 550 5.2.1 no", b"5.2.1"),
        (b"Remote host said: 550-5.2.1 no\n550 5.2.2 never", b"5.2.1"),
        (b"Remote host said: 550 no (#5.3.4)", b"5.3.4"),
        (b"Remote host said: 550 2.0.0 no", b"5.0.0"),
        (b"550 5.2.1 no", b"5.0.0"),
    ],
)
def test_the_status_is_the_first_code_of_a_failure(text: bytes, status: bytes) -> None:
    assert field(b"Status", text) == status


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"Remote host said: 550 a\n550 b", [b"smtp; 550 a"]),
        (b"Remote host said: 550-a\r\n550 b\r\nGiving up", [b"smtp; 550-a", b" 550 b"]),
        (b"Remote host said: 550-a\n551 b", [b"smtp; 550-a"]),
        (b"Remote host said: 550-a\nStatus: 2.0.0", [b"smtp; 550-a"]),
        (b"Remote host said: 550", [b"smtp; 550"]),
        (b"Remote host said: 550 \xfc \xc3\xbc \x1b[2J", [b"smtp; 550 ? ?? ?[2J"]),
        (b"Remote host said: 550 " + b"x" * 1000, [b"smtp; 550 " + b"x" * 508]),
        (b"Remote host said: what", []),
        (b"Remote host said: ", []),
        (b"He said: Remote host said: 550 a", []),
    ],
)
def test_a_diagnostic_is_the_reply_and_nothing_after_it(text: bytes, lines: list[bytes]) -> None:
    found = fields(text)[3:]

    assert b"\n".join(found).removeprefix(b"Diagnostic-Code: ").split(b"\n") == (lines or [b""])


@pytest.mark.parametrize(
    ("before", "host"),
    [
        (b"Connected to 192.0.2.7 but sender was rejected.", b"[192.0.2.7]"),
        (b"192.0.2.7 failed on DATA command.", b"[192.0.2.7]"),
        (b"Connected to 2001:db8::7 but greeting failed.", b"[IPv6:2001:db8::7]"),
        (b"mx.far.example does not like recipient.", b"mx.far.example"),
        (b"first line\nmx.far.example failed after I sent the message.", b"mx.far.example"),
        (b"<script> failed.", None),
        (b"", None),
    ],
)
def test_the_remote_host_is_the_one_that_the_line_before_names(
    before: bytes, host: bytes | None
) -> None:
    found = field(b"Remote-MTA", before + b"\nRemote host said: 550 no")

    assert found == (None if host is None else b"dns; " + host)


@pytest.mark.parametrize(
    ("recipient", "shown"),
    [
        (b"a@b", b"rfc822; a@b"),
        (b"", b'rfc822; ""'),
        (b"nobody", b"rfc822; nobody"),
        (b"a b(c)@d", b'rfc822; "a b(c)"@d'),
        (b"a\xfc@b", b"rfc822; a?@b"),
        (b"a@b\rStatus: 2.0.0", b"rfc822; a@b?Status: 2.0.0"),
        ("jörg@bücher.example".encode(), "utf-8; jörg@bücher.example".encode()),
        ("ü+x=y@d".encode(), b"utf-8; \xc3\xbc\\x{2B}x\\x{3D}y@d"),
        ("ü x@d".encode(), b'utf-8; "\xc3\xbc\\x{20}x"@d'),
    ],
)
def test_the_type_of_an_address_tells_what_it_is_made_of(recipient: bytes, shown: bytes) -> None:
    found = fields(b"no", recipient, international=True)

    assert found[0] == b"Final-Recipient: " + shown
    assert is_international(recipient) is shown.startswith(b"utf-8;")


@pytest.mark.parametrize("letter", ["x", "ü", "+ü"])
def test_a_field_is_never_longer_than_a_line_may_be(letter: str) -> None:
    text = b"h" * 1000 + b" does not like recipient.\nRemote host said: 550 " + b"x" * 1000

    found = fields(text, letter.encode() * 1000 + b"@d", international=True)

    assert max(map(len, found)) < 998
    assert found[0].decode()


def test_a_diagnostic_keeps_utf8_only_where_the_part_may_have_it() -> None:
    text = "Remote host said: 550 kein Fräulein".encode()

    assert field(b"Diagnostic-Code", text, international=True) == b"smtp; " + text[18:]
    assert field(b"Diagnostic-Code", text) == b"smtp; 550 kein Fr??ulein"
