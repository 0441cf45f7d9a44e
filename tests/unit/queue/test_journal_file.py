from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import failing, recorded

from pyqmail.queue.journal_file import (
    BLOCK,
    Entry,
    Segment,
    encode_frame,
    frame_size,
    make_segment,
    parse_segment,
)
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 16 * BLOCK

ONE = Entry(7, b"Subject: x\n\nhello\n", b"Fsue@example.net\0Tjoe@example.org\0")
EMPTY = Entry(8, b"", b"")
LONG = Entry(2**40, b"a line\n" * 1000, b"F\0" + b"Tjoe@example.org\0" * 9)


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "0")
    make_segment(path, SIZE)
    return path


@pytest.fixture
def segment(path: str) -> Iterator[Segment]:
    segment = Segment(path)
    yield segment
    segment.close()


def found_in(path: str) -> dict[int, list[Entry]]:
    return dict(parse_segment(files.read_all(path)))


def change(path: str, position: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(position)
        file.write(data)


@pytest.mark.parametrize("entries", [[ONE], [EMPTY], [LONG], [ONE, EMPTY, LONG, ONE]])
def test_a_frame_comes_back_as_it_was(path: str, segment: Segment, entries: list[Entry]) -> None:
    segment.append(12, entries)

    assert found_in(path) == {12: entries}


def test_frames_come_back_in_the_order_they_were_written(path: str, segment: Segment) -> None:
    for sequence in (3, 4, 5):
        segment.append(sequence, [ONE, LONG])

    assert list(found_in(path)) == [3, 4, 5]


@pytest.mark.parametrize("length", [0, 1, BLOCK - 68, BLOCK - 67, BLOCK, 3 * BLOCK + 5])
def test_the_size_of_a_frame_is_known_before(length: int) -> None:
    entries = [Entry(1, b"x" * length, b"envelope")]

    size = frame_size(entries)

    assert size == len(encode_frame(5, 1, entries))
    assert size % BLOCK == 0


def test_a_segment_that_was_just_made_holds_nothing(path: str) -> None:
    assert found_in(path) == {}


def test_a_frame_is_durable_before_append_returns(segment: Segment) -> None:
    with recorded() as calls:
        segment.append(1, [ONE])
        segment.append(2, [ONE])

    first, second = ["write_at", "write_at", "sync_contents"], ["write_at", "sync_contents"]
    assert [call for call, *_ in calls] == first + second


def test_a_frame_changed_at_any_byte_does_not_count_and_the_others_do(
    path: str, segment: Segment
) -> None:
    for sequence in (1, 2, 3):
        segment.append(sequence, [ONE])
    whole = files.read_all(path)
    used = 12 + 20 + 16 + len(ONE.message) + len(ONE.envelope)

    for position in range(2 * BLOCK, 2 * BLOCK + used):
        changed = bytearray(whole)
        changed[position] ^= 0x20

        assert dict(parse_segment(bytes(changed))) == {1: [ONE], 3: [ONE]}, position


def test_a_frame_cut_at_any_byte_does_not_count_and_the_others_do(
    path: str, segment: Segment
) -> None:
    for sequence in (1, 2, 3):
        segment.append(sequence, [ONE])
    whole = files.read_all(path)
    used = 12 + 20 + 16 + len(ONE.message) + len(ONE.envelope)

    for kept in range(used - 1):  # its last byte is NUL, as what is behind it
        cut = bytearray(whole)
        cut[2 * BLOCK + kept : 3 * BLOCK] = bytes(BLOCK - kept)

        assert dict(parse_segment(bytes(cut))) == {1: [ONE], 3: [ONE]}, kept


@pytest.mark.parametrize("lost", [1, 2])
def test_a_frame_of_several_blocks_that_lost_one_does_not_count(
    path: str, segment: Segment, lost: int
) -> None:
    segment.append(1, [LONG])
    segment.append(2, [ONE])

    change(path, lost * BLOCK, bytes(BLOCK))

    assert found_in(path) == {2: [ONE]}


def test_a_file_cut_at_any_block_says_what_is_before(path: str, segment: Segment) -> None:
    for sequence in (1, 2, 3):
        segment.append(sequence, [ONE])
    whole = files.read_all(path)

    for blocks in range(SIZE // BLOCK):
        counts = dict(parse_segment(whole[: blocks * BLOCK]))

        assert list(counts) == list(range(1, min(blocks, 4)))


@pytest.mark.parametrize("length", [1, 11, 12, 31, 32, 100, BLOCK - 1])
def test_a_file_cut_within_a_block_says_what_is_before(
    path: str, segment: Segment, length: int
) -> None:
    segment.append(1, [ONE])
    segment.append(2, [LONG])

    assert dict(parse_segment(files.read_all(path)[: 2 * BLOCK + length])) == {1: [ONE]}


@pytest.mark.parametrize("length", [0, 1, 19, BLOCK - 1])
def test_what_is_shorter_than_a_block_holds_nothing(
    path: str, segment: Segment, length: int
) -> None:
    segment.append(1, [ONE])

    assert list(parse_segment(files.read_all(path)[:length])) == []


@pytest.mark.parametrize("position", range(20))
def test_without_its_first_block_nothing_counts(path: str, segment: Segment, position: int) -> None:
    segment.append(1, [ONE])
    whole = bytearray(files.read_all(path))

    whole[position] ^= 1

    assert list(parse_segment(bytes(whole))) == []


def test_nothing_counts_after_clear(path: str, segment: Segment) -> None:
    segment.append(1, [ONE])

    with recorded() as calls:
        segment.clear()

    assert found_in(path) == {}
    assert [call for call, *_ in calls] == ["write_at", "sync_contents"]


def test_what_an_earlier_generation_left_behind_shorter_content_does_not_count(
    path: str, segment: Segment
) -> None:
    for sequence in (1, 2, 3, 4):
        segment.append(sequence, [ONE, LONG])
    segment.clear()

    segment.append(5, [EMPTY])

    assert found_in(path) == {5: [EMPTY]}


def test_what_an_earlier_process_left_does_not_count_beside_new_frames(
    path: str, segment: Segment
) -> None:
    for sequence in (1, 2, 3):
        segment.append(sequence, [ONE])
    successor = Segment(path)

    successor.append(1, [EMPTY])

    successor.close()
    assert found_in(path) == {1: [EMPTY]}


def test_opening_a_segment_leaves_what_counts_in_it(path: str, segment: Segment) -> None:
    segment.append(1, [ONE])

    with recorded() as calls:
        Segment(path).close()

    assert found_in(path) == {1: [ONE]}
    assert calls == []


def test_a_forged_frame_in_a_message_is_not_read_as_one(path: str, segment: Segment) -> None:
    # At a block boundary and of the right generation, which no writer of mail can know.
    segment.append(1, [ONE])
    generation = int.from_bytes(files.read_all(path)[12:20])
    head = 12 + 20 + 16
    forged = b"x" * (BLOCK - head) + encode_frame(generation, 99, [ONE])
    message = Entry(9, forged, b"F\0Tjoe@example.org\0")

    segment.append(2, [message])

    assert found_in(path) == {1: [ONE], 2: [message]}


def test_a_forged_frame_in_a_damaged_one_does_not_count_without_the_generation(
    path: str, segment: Segment
) -> None:
    forged = b"x" * (BLOCK - 48) + encode_frame(12345, 99, [ONE])
    segment.append(1, [Entry(9, forged, b"F\0")])

    change(path, BLOCK + 100, b"damage")

    assert found_in(path) == {}


def test_the_generation_differs_each_time(path: str, segment: Segment) -> None:
    generations = set()
    for sequence in range(20):
        segment.append(sequence, [ONE])
        generations.add(files.read_all(path)[12:20])
        segment.clear()

    assert len(generations) == 20
    assert bytes(8) not in generations


def test_there_is_room_up_to_the_last_block(segment: Segment) -> None:
    segment.append(1, [ONE])

    assert segment.has_room(SIZE - 2 * BLOCK)
    assert not segment.has_room(SIZE - 2 * BLOCK + 1)


def test_after_clear_there_is_room_for_all_but_the_first_block(segment: Segment) -> None:
    segment.append(1, [LONG])
    segment.since = 5.0

    segment.clear()

    assert segment.has_room(SIZE - BLOCK)
    assert not segment.has_room(SIZE)
    assert segment.since is None


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_frame_whose_call_fails_does_not_overlap_the_next(
    path: str, segment: Segment, step: int
) -> None:
    with failing(errno.EIO, step), pytest.raises(OSError, match="Input/output error"):
        segment.append(1, [LONG])

    assert segment.has_room(BLOCK)
    assert all(entries == [LONG] for entries in found_in(path).values())


def test_a_segment_is_made_with_all_its_blocks_and_for_us_alone(path: str) -> None:
    status = os.stat(path)

    assert status.st_size == SIZE
    assert status.st_mode & 0o777 == 0o600


def test_a_segment_of_the_right_size_is_kept(path: str, segment: Segment) -> None:
    segment.append(1, [ONE])

    with recorded() as calls:
        make_segment(path, SIZE)

    assert calls == []
    assert found_in(path) == {1: [ONE]}


@pytest.mark.parametrize("size", [0, BLOCK, SIZE - 1, SIZE + 1])
def test_a_segment_of_another_size_is_replaced(path: str, size: int) -> None:
    os.truncate(path, size)

    make_segment(path, SIZE)

    assert files.read_all(path) == bytes(SIZE)


@pytest.mark.parametrize("call", ["create", "write", "sync"])
def test_a_segment_that_cannot_be_made_leaves_nothing(tmp_path: Path, call: str) -> None:
    path = str(tmp_path / "1")

    with failing(errno.ENOSPC, 0, on=call), pytest.raises(OSError, match="No space left"):
        make_segment(path, SIZE)

    assert os.listdir(tmp_path) == []
