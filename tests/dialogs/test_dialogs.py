"""Each *.dialog, held with the application in memory and with the program."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support import dialog as dialogs
from tests.support.launchers import launcher_folder
from tests.support.queue_stub import QueueStub
from tests.support.sessions import MemoryQueue, MemoryStream

from pyqmail.reception.smtp import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from tests.support.dialog import Dialog

FILES = sorted(Path(__file__).parent.glob("*.dialog"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def dialog(request: pytest.FixtureRequest) -> Dialog:
    return dialogs.parse(request.param.read_text(encoding="utf-8"))


@pytest.fixture
def home(dialog: Dialog, tmp_path: Path) -> str:
    (tmp_path / "control").mkdir()
    for name, text in dialog.controls.items():
        (tmp_path / "control" / name).write_bytes(text)
    return str(tmp_path)


def test_the_application_holds_the_dialog(dialog: Dialog, home: str) -> None:
    pieces = [client for _, client in dialog.turns if client]
    stream, queue = MemoryStream(pieces), MemoryQueue()

    status = asyncio.run(serve(home, dialog.environ, stream, queue))  # type: ignore[arg-type]

    stream.pause()
    said, heard = without_silence([said for said, _ in dialog.turns]), without_silence(stream.heard)
    assert len(said) == len(heard), heard
    assert all(map(dialogs.is_like, said, heard)), heard
    assert status == dialog.exit_status
    check(dialog, [([m.reverse_path, *m.forward_paths], m.message) for m in queue.queued])


@pytest.mark.process
def test_the_program_holds_the_dialog(dialog: Dialog, home: str, bin_folder: str) -> None:
    stub = QueueStub(f"{home}/queue-stub", f"{home}/queued")
    environ = {b"QMAILHOME": home.encode(), b"QMAILQUEUE": stub.path.encode(), **dialog.environ}
    environ[b"PATH"] = os.environb[b"PATH"]
    process = subprocess.Popen(
        [f"{bin_folder}/qmail-smtpd"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        for server, client in dialog.turns:
            assert dialogs.is_like(server, read_lines(process.stdout, server.count(b"\n")))
            if client:
                process.stdin.write(client)
        process.stdin.close()
        assert process.stdout.read() == b""
        status = process.wait()

    assert status == dialog.exit_status
    whole = [each for each in stub.received() if each[1]]
    check(dialog, [(envelope_of(envelope), message) for message, envelope in whole])


@pytest.fixture(scope="session")
def bin_folder() -> Iterator[str]:
    with launcher_folder() as folder:
        yield folder


def without_silence(turns: list[bytes]) -> list[bytes]:
    """Return `turns` without those at the end in which nothing is said."""
    while turns and not turns[-1]:
        turns = turns[:-1]
    return turns


def read_lines(pipe: IO[bytes], count: int) -> bytes:
    return b"".join(pipe.readline() for _ in range(count))


def envelope_of(record: bytes) -> list[bytes]:
    return [part[1:] for part in record.split(b"\0") if part]


def check(dialog: Dialog, queued: list[tuple[list[bytes], bytes]]) -> None:
    assert len(queued) == len(dialog.queued)
    for expected, (envelope, message) in zip(dialog.queued, queued, strict=True):
        assert expected.matches(envelope, message), message
