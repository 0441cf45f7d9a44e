from __future__ import annotations

import pytest

from pyqmail.queue.envelope_file import (
    MAX_RECORD,
    DamagedEnvelope,
    EnvelopeParser,
    encode_envelope,
    encode_origin,
    encode_recipient,
    parse_decimal,
    records,
)
from pyqmail.queue.outcome import QueueFailure


def test_an_envelope_is_spelled_as_qmail_queue_reads_it() -> None:
    assert encode_envelope(b"a@b", [b"c@d", b""]) == b"Fa@b\0Tc@d\0T\0\0"


def test_the_file_begins_with_who_gave_the_message() -> None:
    assert encode_origin(666, 20345) == b"u666\0p20345\0"


def test_a_done_recipient_differs_in_one_byte() -> None:
    assert encode_recipient(b"a@b") == b"Ta@b\0"
    assert encode_recipient(b"a@b", done=True) == b"Da@b\0"


def test_additional_records_stand_behind_the_reverse_path() -> None:
    envelope = encode_envelope(b"a@b", [b"c@d"], [b"RET=HDRS ", b"NOTIFY=NEVER TO=c@d"])

    assert envelope == b"Fa@b\0p RET=HDRS \0p NOTIFY=NEVER TO=c@d\0Tc@d\0\0"
    assert EnvelopeParser().feed(envelope) == envelope[:-1]


@pytest.mark.parametrize("data", [b"p x\0", b"Fa\0Tb\0p x\0"])
def test_additional_records_stand_nowhere_else(data: bytes) -> None:
    with pytest.raises(QueueFailure) as failure:
        EnvelopeParser().feed(data)

    assert failure.value.code == 91


def test_an_additional_record_has_an_end() -> None:
    with pytest.raises(QueueFailure) as failure:
        EnvelopeParser().feed(b"Fa\0p" + b"x" * 2049)

    assert failure.value.code == 11


def test_the_last_nul_is_not_stored() -> None:
    parser = EnvelopeParser()

    assert parser.feed(b"Fa\0Tb\0\0") == b"Fa\0Tb\0"
    assert parser.finished


def test_bytes_after_the_end_are_ignored() -> None:
    parser = EnvelopeParser()

    assert parser.feed(b"Fa\0\0Tc\0") == b"Fa\0"
    assert parser.feed(b"garbage") == b""


@pytest.mark.parametrize("data", [b"X", b"\0", b"Ta\0", b"Fa\0Xb\0", b"Fa\0Fb\0"])
def test_what_is_no_record_is_a_bad_envelope(data: bytes) -> None:
    with pytest.raises(QueueFailure) as failure:
        EnvelopeParser().feed(data)

    assert failure.value.code == 91


@pytest.mark.parametrize("start", [b"F", b"Fa\0T"])
def test_an_address_has_at_most_1002_bytes(start: bytes) -> None:
    longest = start + b"a" * 1002 + b"\0"

    assert EnvelopeParser().feed(longest) == longest
    with pytest.raises(QueueFailure) as failure:
        EnvelopeParser().feed(start + b"a" * 1003)
    assert failure.value.code == 11


def test_records_may_be_cut_anywhere() -> None:
    pieces = iter([b"Ta", b"", b"never read"])

    with pytest.raises(DamagedEnvelope):
        list(records(lambda: next(pieces)))


def test_a_record_without_end_does_not_fill_the_memory() -> None:
    taken = 0

    def read() -> bytes:
        nonlocal taken
        taken += 1000
        return b"x" * 1000

    with pytest.raises(DamagedEnvelope):
        list(records(read))
    assert taken <= MAX_RECORD + 1000


@pytest.mark.parametrize("text", [b"", b"-1", b"1_0", b" 1", b"\xd9\xa3", b"9" * 30])
def test_only_ascii_digits_are_a_number(text: bytes) -> None:
    with pytest.raises(DamagedEnvelope):
        parse_decimal(text)
