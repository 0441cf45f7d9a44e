from __future__ import annotations

import pytest

from pyqmail.control.maps import ConstantMap
from pyqmail.errors import PermanentFailure
from pyqmail.message.rewriting import Completion
from pyqmail.message.tokens import tokenise
from pyqmail.reception.author import Author
from pyqmail.reception.submission import Injection, UnparsableLine, parse

COMPLETION = Completion(tokenise(b"@host.org"), tokenise(b".org"), tokenise(b".plus"))
NOW = 1735873506  # 3 Jan 2025 03:05:06 UTC
DATE = b"Date: 3 Jan 2025 03:05:06 -0000\n"
MESSAGE_ID = b"Message-ID: <20250103030506.7.qmail@id>\n"
COMPLETE = (b"Date: d\n", b"Message-ID: m\n", b"From: f@g.h\n", b"To: t@u.v\n")


def injection(
    *fields: bytes,
    letters: bytes = b"",
    environ: dict[bytes, bytes] | None = None,
    lists: tuple[bytes, ...] = (),
) -> Injection:
    author = Author({b"USER": b"joe"} if environ is None else environ)
    made = Injection(COMPLETION, author, letters, ConstantMap(lists))
    for field in fields:
        made.add_field(field)
    return made


def header(made: Injection) -> bytes:
    return b"".join(made.header(NOW, 7, b"id"))


def test_a_complete_header_section_stays_as_it_is() -> None:
    assert header(injection(*COMPLETE)) == b"".join(COMPLETE)


def test_what_a_message_lacks_is_put_on_top() -> None:
    assert header(injection(b"Subject: s\n")) == (
        DATE + MESSAGE_ID + b"From: joe@host.org\nCc: recipient list not shown: ;\nSubject: s\n"
    )


def test_a_resent_message_gets_resent_fields_only() -> None:
    assert header(injection(b"Resent-Sender: a@b.c\n")) == (
        b"Resent-" + DATE + b"Resent-" + MESSAGE_ID + b"Resent-From: joe@host.org\n"
        b"Resent-Cc: recipient list not shown: ;\nResent-Sender: a@b.c\n"
    )


@pytest.mark.parametrize(
    "name", [b"Bcc", b"Resent-Bcc", b"Return-Path", b"Content-Length", b"BCC \t"]
)
def test_some_fields_are_not_sent_on(name: bytes) -> None:
    assert name not in header(injection(*COMPLETE, name + b": a@b.c\n"))


def test_recipients_are_those_of_to_cc_bcc_and_apparently_to() -> None:
    made = injection(b"To: a, b\n", b"CC: c\n", b"Bcc: d\n", b"Apparently-To: e\n", b"X: f\n")

    assert list(made.recipients(of_header=True)) == [
        *(b"b@host.org", b"a@host.org", b"c@host.org", b"d@host.org", b"e@host.org")
    ]
    assert list(made.recipients(of_header=False)) == []


def test_recipients_of_a_resent_message_are_those_of_its_resent_fields() -> None:
    made = injection(b"To: a\n", b"Resent-To: b\n", b"Resent-Bcc: c\n")
    made.add_recipient(b"d")

    assert list(made.recipients(of_header=True)) == [b"d@host.org", b"b@host.org", b"c@host.org"]


def test_a_recipient_field_that_is_malformed_stays_as_it_is() -> None:
    made = injection(*COMPLETE[:3], b"To: x:y, (z)\n")

    assert header(made).endswith(b"To: x:y, (z)\n")
    assert list(made.recipients(of_header=True)) == [b"y@host.org"]


@pytest.mark.parametrize("name", [b"From", b"Sender", b"Reply-To", b"Return-Path", b"Resent-From"])
def test_an_author_field_that_is_malformed_is_refused(name: bytes) -> None:
    with pytest.raises(UnparsableLine) as refusal:
        injection(name + b": (a\n")

    assert refusal.value.text == b"unable to parse this line:\n" + name + b": (a\n"


def test_an_argument_is_an_address_and_not_a_list() -> None:
    made = injection()
    for address in (b"a b,c@d", b'"q"@x.y', b"@r:a@b.c", b"", b"a@"):
        made.add_recipient(address)

    assert list(made.recipients(of_header=False)) == [
        *(b"a b,c@d.org", b'"q"@x.y', b"@r:a@b.c", b"", b"a@host.org")
    ]


def test_an_argument_that_is_no_address_is_refused() -> None:
    with pytest.raises(PermanentFailure, match="unable to parse address: a@"):
        injection().add_recipient(b"a@[1")


def test_the_option_sets_the_reverse_path_for_good() -> None:
    made = injection(letters=b"r")
    made.set_reverse_path(b"a b@c")
    made.add_field(b"Return-Path: <x@y.z>\n")

    assert made.choose_reverse_path(NOW, 7) == b"a b@c.org"


def test_the_first_return_path_field_sets_the_reverse_path() -> None:
    made = injection(b"Return-Path: <a@b.c>, <d@e.f>\n", b"Return-Path: <g@h.i>\n")

    assert made.choose_reverse_path(NOW, 7) == b"d@e.f"


def test_a_return_path_field_without_an_address_sets_nothing() -> None:
    assert injection(b"Return-Path: (x)\n").choose_reverse_path(NOW, 7) == b"joe@host.org"


@pytest.mark.parametrize(
    ("letters", "reverse_path"),
    [
        (b"", b"joe@host.org"),
        (b"r", b"joe-@host.org-@[]"),
        (b"m", b"joe-1735873506.7@host.org"),
        (b"mr", b"joe-1735873506.7-@host.org-@[]"),
    ],
)
def test_letters_make_the_reverse_path_name_recipient_and_message(
    letters: bytes, reverse_path: bytes
) -> None:
    assert injection(letters=letters).choose_reverse_path(NOW, 7) == reverse_path


def test_letters_delete_fields_that_came() -> None:
    made = injection(b"Return-Path: <a@b.c>\n", *COMPLETE, letters=b"sfi")

    assert made.choose_reverse_path(NOW, 7) == b"joe@host.org"
    assert header(made) == MESSAGE_ID + b"From: joe@host.org\nDate: d\nTo: t@u.v\n"


@pytest.mark.parametrize(
    ("environ", "letters", "field"),
    [
        ({}, b"", b"From: anonymous@host.org\n"),
        ({b"LOGNAME": b"l", b"USER": b"u"}, b"", b"From: u@host.org\n"),
        ({b"USER": b"a b"}, b"", b'From: "a b"@host.org\n'),
        ({b"USER": b"u", b"NAME": b"N M"}, b"", b'From: "N M" <u@host.org>\n'),
        ({b"USER": b"u", b"NAME": b"N M"}, b"c", b"From: u@host.org (N M)\n"),
        ({b"USER": b"u", b"MAILHOST": b"m"}, b"c", b"From: u@m.org\n"),
        ({b"USER": b"u", b"QMAILHOST": b"a b"}, b"", b"From: u@a.org, b@host.org\n"),
    ],
)
def test_the_from_field_is_made_of_the_environment(
    environ: dict[bytes, bytes], letters: bytes, field: bytes
) -> None:
    made = injection(COMPLETE[0], COMPLETE[1], COMPLETE[3], letters=letters, environ=environ)

    assert header(made) == field + COMPLETE[0] + COMPLETE[1] + COMPLETE[3]


def test_an_environment_that_makes_no_address_is_refused() -> None:
    with pytest.raises(UnparsableLine):
        header(injection(environ={b"USER": b"u", b"MAILHOST": b"a:b"}))


def test_the_envelope_may_have_another_user_and_host() -> None:
    environ = {b"USER": b"u", b"QMAILSUSER": b"s", b"QMAILSHOST": b"h.i"}

    assert injection(environ=environ).choose_reverse_path(NOW, 7) == b"s@h.i"


def test_a_message_to_a_mailing_list_says_whom_answers_go_to() -> None:
    fields = (*COMPLETE[:3], b"To: List@a.b\n", b"Cc: c d@e\n", b"Bcc: f@g.h\n")
    made = injection(*fields, lists=(b"list@A.B",))

    assert header(made).startswith(b"Mail-Followup-To: c@host.org,\n  d@e.org,\n  List@a.b\n")


@pytest.mark.parametrize(
    "field", [b"Mail-Followup-To: x\n", b"Resent-Sender: a@b.c\n", b"Subject: s\n"]
)
def test_other_messages_do_not(field: bytes) -> None:
    to = b"To: t@u.v\n" if field.startswith(b"S") else b"To: list@a.b\n"

    made = injection(to, field, lists=(b"list@a.b",))

    assert not header(made).startswith(b"Mail-Followup-To: list")


def test_a_nul_ends_an_address_in_the_envelope() -> None:
    made = injection(b"To: a\0b@c\n")

    assert list(made.recipients(of_header=True)) == [b"a"]


def test_a_line_that_is_no_address_is_named() -> None:
    with pytest.raises(UnparsableLine) as refusal:
        parse(b"@(x")

    assert refusal.value.text == b"unable to parse this line:\n@(x"
