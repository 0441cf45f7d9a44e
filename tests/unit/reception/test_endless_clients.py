"""Clients that never stop: lines, header sections, recipients, chunks, errors, junk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support import simulated_time
from tests.support.sessions import MemoryStream
from tests.support.smtp_host import ENVELOPE, MAIL, QUIT, RCPT, Host

from pyqmail.reception.smtp import FAILURE, serve

if TYPE_CHECKING:
    from pathlib import Path

TOO_MANY = b"421 too many errors (#4.7.0)"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.set("maxerrors", "10\n")
    host.set("maxjunk", "20\n")
    return host


def test_an_endless_line_is_one_error(host: Host) -> None:
    _, lines = host.hold(*[b"x" * 65536] * 100, b"\r\n" + QUIT)

    assert lines == [b"500 line too long (#5.5.2)", b"221 mail.example.org"]


def test_an_endless_header_line_passes_in_pieces(host: Host) -> None:
    _, lines = host.hold(ENVELOPE + b"DATA\r\nSubject: ", *[b"x" * 65536] * 100, b"\r\n\r\n.\r\n")

    assert lines[-1].startswith(b"250 ok ")
    assert host.queue.largest_write <= 65536 + 4


def test_endless_recipients_are_refused_and_then_the_client_is(host: Host) -> None:
    host.set("maxrcpt", "5\n")

    status, lines = host.hold(MAIL + RCPT * 1000)

    refused = b"452 too many recipients (#4.5.3)"
    assert (status, lines) == (FAILURE, [b"250 ok"] * 6 + [refused] * 11 + [TOO_MANY])


def test_no_file_allows_more_recipients_than_memory_has_room_for(host: Host) -> None:
    host.set("maxrcpt", "1000000\n")

    _, lines = host.hold(MAIL + RCPT * 10001)

    assert lines[-2:] == [b"250 ok", b"452 too many recipients (#4.5.3)"]


@pytest.mark.parametrize(
    "error",
    [b"FOO\r\n", b"DATA\r\n", b"MAIL FROM:<a\rb>\r\n", b"AUTH\r\n", b"BDAT 0\r\n", b"\n\r\n"],
)
def test_errors_have_an_end(host: Host, error: bytes) -> None:
    status, lines = host.hold(error * 1000)

    assert status == FAILURE
    assert len(lines) == 12
    assert lines[-1] == TOO_MANY


@pytest.mark.parametrize(
    "junk", [b"NOOP\r\n", b"HELP\r\n", b"VRFY x\r\n", b"RSET\r\n", b"HELO x\r\n"]
)
def test_junk_has_an_end(host: Host, junk: bytes) -> None:
    status, lines = host.hold(junk * 1000)

    assert status == FAILURE
    assert len(lines) == 22
    assert lines[-1] == TOO_MANY


def test_a_message_excuses_junk(host: Host) -> None:
    message = MAIL + RCPT + b"DATA\r\n.\r\n"

    status, lines = host.hold((b"RSET\r\n" * 15 + message) * 20 + QUIT)

    assert status == 0
    assert len(lines) == 20 * 19 + 1


def test_zero_is_no_limit(host: Host) -> None:
    host.set("maxerrors", "0\n")
    host.set("maxjunk", "0\n")

    status, _ = host.hold((b"NOOP\r\nFOO\r\n") * 5000 + QUIT)

    assert status == 0


def test_endless_chunks_have_a_day(host: Host) -> None:
    class Chunks(MemoryStream):
        async def read(self) -> bytes:
            piece = await super().read()
            if self.waits:
                await simulated_time_passes()
            self.waits = True
            return piece

        waits = False

    async def simulated_time_passes() -> None:
        import asyncio  # noqa: PLC0415

        await asyncio.sleep(60)

    stream = Chunks([ENVELOPE + b"BDAT 1000000 LAST\r\n", *[b"x"] * 10_000])

    status, seconds = simulated_time.run(serve(host.home, {}, stream, host.queue))  # type: ignore[arg-type]

    assert status == FAILURE
    assert seconds == pytest.approx(86400, abs=120)
    assert stream.transcript().endswith(b"451 timeout (#4.4.2)\r\n")
    assert host.queue.abandoned == 1


def test_four_gibibytes_announced_are_refused_at_once_where_there_is_a_limit(host: Host) -> None:
    host.set("databytes", "1000000\n")

    _, lines = host.hold(b"MAIL FROM:<a@b> SIZE=4294967296\r\n")

    assert lines == [b"552 sorry, that message size exceeds my databytes limit (#5.3.4)"]


def test_a_chunk_beyond_the_limit_is_read_and_thrown_away(host: Host) -> None:
    host.set("databytes", "100\n")

    _, lines = host.hold(ENVELOPE + b"BDAT 6553600 LAST\r\n", *[b"x" * 65536] * 100, b"NOOP\r\n")

    assert lines[-2:] == [
        b"552 sorry, that message size exceeds my databytes limit (#5.3.4)",
        b"250 ok",
    ]
    assert host.queue.largest_write <= 300


def test_the_tarpit_slows_down_whoever_has_many_recipients(host: Host) -> None:
    host.set("tarpitcount", "3\n")
    host.set("tarpitdelay", "7\n")
    stream = MemoryStream([MAIL + RCPT * 5 + QUIT])

    status, seconds = simulated_time.run(serve(host.home, {}, stream, host.queue))  # type: ignore[arg-type]

    assert (status, seconds) == (0, 14)


def test_variables_come_before_the_files_of_the_tarpit(host: Host) -> None:
    host.set("tarpitcount", "3\n")
    stream = MemoryStream([MAIL + RCPT * 5 + QUIT])
    environ = {b"TARPITCOUNT": b"4", b"TARPITDELAY": b"100"}

    _, seconds = simulated_time.run(serve(host.home, environ, stream, host.queue))  # type: ignore[arg-type]

    assert seconds == 100
