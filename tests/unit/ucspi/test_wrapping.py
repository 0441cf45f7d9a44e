from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.support.sessions import MemoryStream

from pyqmail.ucspi.application import current_number, set_number
from pyqmail.ucspi.filters import DelCr, FixCr
from pyqmail.ucspi.wrapping import echo, filtered, recording

if TYPE_CHECKING:
    from pyqmail.ucspi.application import Application, Environment, ServerStream


def conversation(application: Application, *pieces: bytes) -> tuple[int, bytes]:
    async def talk() -> int:
        set_number(7)
        stream: Any = MemoryStream(pieces)
        status = await application({}, stream)
        heard.append(stream.transcript())
        return status

    heard: list[bytes] = []
    return asyncio.run(talk()), heard[0]


async def repeat(_environ: Environment, stream: ServerStream) -> int:
    """Say in lines of its own what it hears; end with 3."""
    while data := await stream.read():
        await stream.write(b"[" + data + b"]\n")
    return 3


def test_a_filter_changes_both_directions() -> None:
    assert conversation(filtered(repeat, FixCr), b"a\n", b"b\r", b"\nc") == (
        3,
        b"[a\r\n]\r\n[b\r]\r\n[\r\nc]\r\n",
    )


def test_a_piece_that_is_held_back_whole_is_not_the_end() -> None:
    assert conversation(filtered(repeat, DelCr), b"\r", b"\nx", b"\r") == (3, b"[\nx]\n[\r]\n")


def test_a_record_has_all_that_passed() -> None:
    lines: list[bytes] = []

    ended = conversation(recording(repeat, lines.append), b"a\n", b"b")

    assert ended == (3, b"[a\n]\n[b]\n")
    assert b"".join(lines) == (b"7 < a \n7 > [a \n7 > ] \n7 < b+\n7 > [b] \n7 < [EOF]\n7 > [EOF]\n")


def test_filters_can_stand_one_behind_the_other() -> None:
    chain = filtered(filtered(echo(DelCr), FixCr), FixCr)

    assert conversation(chain, b"a\nb\r\n") == (0, b"a\r\nb\r\n")


def test_what_is_wrapped_is_not_handed_over() -> None:
    descriptors: list[int | None] = []

    async def look(_environ: Environment, stream: ServerStream) -> int:
        descriptors.append(stream.hand_over())
        return 0

    conversation(filtered(look, FixCr))
    conversation(recording(look, lambda _text: None))

    assert descriptors == [None, None]


def test_without_a_server_the_number_is_that_of_the_process() -> None:
    import os  # noqa: PLC0415

    async def ask() -> int:
        return current_number()

    assert asyncio.run(ask()) == os.getpid()
