from __future__ import annotations

import pytest

from pyqmail.message.wishes import RecipientWishes, WishError, Wishes, parse_words


def test_who_wants_nothing_leaves_no_record() -> None:
    wishes = Wishes.parse({b"SIZE": b"17"})
    wishes.recipients[b"joe@example.org"] = RecipientWishes.parse({})

    assert list(wishes.records()) == []


def test_wishes_go_into_records_and_come_back() -> None:
    wishes = Wishes.parse({b"RET": b"hdrs", b"ENVID": b"QQ+2B1", b"SMTPUTF8": b""})
    wishes.recipients[b"joe smith@example.org"] = RecipientWishes.parse(
        {b"NOTIFY": b"failure,delay", b"ORCPT": b"rfc822;Joe+20S@example.net"}
    )
    wishes.recipients[b"ann@example.org"] = RecipientWishes()

    records = list(wishes.records())

    assert records == [
        b"RET=HDRS ENVID=QQ+2B1 SMTPUTF8=yes ",
        b"NOTIFY=FAILURE,DELAY ORCPT=rfc822;Joe+20S@example.net TO=joe smith@example.org",
    ]
    again = Wishes.of_records(records)
    assert again.returns_header_only
    assert again.internationalized
    assert again.original_envelope_id == b"QQ+1"
    assert again.of(b"joe smith@example.org").original_recipient == b"rfc822;Joe S@example.net"
    assert again.of(b"joe smith@example.org").hears_of_failure
    assert again.of(b"ann@example.org") == RecipientWishes()


@pytest.mark.parametrize(
    ("notify", "hears"),
    [(b"NEVER", False), (b"SUCCESS", False), (b"DELAY,SUCCESS", False), (b"FAILURE", True)],
)
def test_who_hears_of_a_failure(notify: bytes, hears: bool) -> None:  # noqa: FBT001
    assert RecipientWishes.parse({b"NOTIFY": notify}).hears_of_failure == hears


def test_a_recipient_may_have_got_a_domain() -> None:
    wishes = Wishes.of_records([b"NOTIFY=NEVER TO=joe"])

    assert not wishes.of(b"joe@example.org").hears_of_failure


@pytest.mark.parametrize(
    "parameters",
    [
        {b"RET": b""}, {b"RET": b"BODY"}, {b"ENVID": b"a b"}, {b"ENVID": b"+0"},
        {b"ENVID": b"x" * 101},
    ],
)  # fmt: skip
def test_parameters_of_mail_that_say_nothing_are_refused(parameters: dict[bytes, bytes]) -> None:
    with pytest.raises(WishError):
        Wishes.parse(parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {b"NOTIFY": b""}, {b"NOTIFY": b"ALWAYS"}, {b"NOTIFY": b"NEVER,FAILURE"},
        {b"ORCPT": b""}, {b"ORCPT": b"joe"}, {b"ORCPT": b";joe"}, {b"ORCPT": b"a b;joe"},
        {b"ORCPT": b"rfc822;" + b"x" * 501}, {b"ORCPT": b"rfc822;a=b"},
    ],
)  # fmt: skip
def test_parameters_of_rcpt_that_say_nothing_are_refused(parameters: dict[bytes, bytes]) -> None:
    with pytest.raises(WishError):
        RecipientWishes.parse(parameters)


def test_what_a_record_says_that_nobody_understands_says_nothing() -> None:
    wishes = Wishes.of_records([b"", b"x", b"RET=x", b"NOTIFY=x TO=joe", b"X=y TO=ann"])

    assert wishes == Wishes(recipients={b"ann": RecipientWishes()})


def test_the_words_for_a_delivery_say_all_that_is_wanted_of_it() -> None:
    own = RecipientWishes(b"SUCCESS", b"rfc822;joe@example.org")
    wishes = Wishes(b"HDRS", b"x+20y", internationalized=True, recipients={b"joe": own})

    words = wishes.words_for(b"joe@example.org")

    message, recipient = parse_words(words)
    assert recipient == own
    assert (message.returns, message.envelope_id, message.internationalized) == (
        b"HDRS",
        b"x+20y",
        True,
    )
    assert b"\0" not in words


def test_where_nothing_is_wanted_there_are_no_words() -> None:
    wishes = Wishes(recipients={b"joe": RecipientWishes(b"NEVER")})

    assert wishes.words_for(b"ann@example.org") == b""
    assert parse_words(b"") == (Wishes(), RecipientWishes())


@pytest.mark.parametrize("words", [b"x", b"RET=x NOTIFY=SUCCESS", b"NOTIFY=x", b"ENVID=+0"])
def test_words_that_nobody_understands_say_nothing(words: bytes) -> None:
    assert parse_words(words) == (Wishes(), RecipientWishes())
