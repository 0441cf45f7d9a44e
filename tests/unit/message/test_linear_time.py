"""Whoever writes a header field decides how long it is: four times as long may take four times."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from pyqmail.message.header import read_header
from pyqmail.message.rewriting import Completion, rewrite_list
from pyqmail.message.tokens import FieldSyntaxError, bare_address, print_tokens, tokenise

COMPLETION = Completion(tokenise(b"@host"), tokenise(b".domain"), tokenise(b".plus"))
SIZE = 8000  # bytes; four times as many are two windows of the rewriter
GROWTH = 10  # times; 4 would be linear, 16 is quadratic

PARTS = (
    *(b"ab,", b"a ", b",", b".", b"@", b"<", b">", b"<>", b"<a@b>,", b"(", b"()", b"((", b"(a)"),
    *(b'""', b'"', b'"x",', b"[]", b"[", b"[x].", b"\\", b"\\,", b"\xc3\xbc,", b"\xc3\xbc.", b"a)"),
    *(b"a:b;,", b":;", b";", b" ", b"\n ", b" a (b) @ c,", b"@a,@b:", b"a+,", b'"a" <b@c> (d),\n '),
)


def rewrite(text: bytes) -> None:
    def take(address: str) -> str:
        address = COMPLETION.complete(address)
        assert bare_address(address) is not None
        return address

    with suppress(FieldSyntaxError):
        assert b"".join(print_tokens(rewrite_list(tokenise(text), take)))


def seconds(text: bytes) -> float:
    """Return the CPU time of the faster of two runs."""
    times = []
    for _ in range(2):
        start = time.process_time()
        rewrite(text)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("frame", [b"%b", b"x <%b>"])
def test_a_field_takes_time_in_proportion_to_its_length(part: bytes, frame: bytes) -> None:
    count = SIZE // len(part)
    short, long = (frame % (part * (factor * count)) for factor in (1, 4))

    # What is done at once, like refusing the first byte, has no meaningful ratio.
    assert seconds(long) < max(GROWTH * seconds(short), 0.01)


@pytest.mark.parametrize("line", [b"A: b\n", b" \n", b"From x\n", b"A:\n"])
def test_a_header_section_takes_time_in_proportion_to_its_length(line: bytes) -> None:
    def read(count: int) -> float:
        lines = [b"A:\n", *[line] * count]
        start = time.process_time()
        assert read_header(lines).fields
        return time.process_time() - start

    assert min(read(80_000) for _ in range(3)) < GROWTH * min(read(20_000) for _ in range(3))
