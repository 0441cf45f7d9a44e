from __future__ import annotations

import pytest

from pyqmail.queue.frames import BODY, FrameReader, encode_frame, encode_result, parse_result


def pieces(reader: FrameReader) -> list[tuple[int, bytes, bytes, bool]]:
    found = []
    while (piece := reader.next_piece()) is not None:
        found.append(piece)
    return found


def test_a_frame_comes_out_as_it_went_in() -> None:
    reader = FrameReader()

    reader.feed(encode_frame(7, BODY, b"abc") + encode_frame(8, BODY, b""))

    assert pieces(reader) == [(7, b"B", b"abc", True), (8, b"B", b"", True)]


def test_a_long_frame_comes_out_as_it_arrives() -> None:
    reader = FrameReader()
    frame = encode_frame(7, BODY, b"abcdef")

    reader.feed(frame[:5])
    nothing = pieces(reader)
    reader.feed(frame[5:11])
    first = pieces(reader)
    reader.feed(frame[11:])

    assert nothing == []
    assert first == [(7, b"B", b"ab", False)]
    assert pieces(reader) == [(7, b"B", b"cdef", True)]


def test_an_answer_holds_exit_code_and_number() -> None:
    frame = encode_result(7, 53, 20345)

    assert frame[9:] == b"\x3520345"
    assert parse_result(frame[9:]) == (53, 20345)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0x", b"\0-1", b"\0 1"])
def test_what_is_no_answer_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="answer"):
        parse_result(payload)
