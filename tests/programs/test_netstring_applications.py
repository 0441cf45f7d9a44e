"""qmail-qmtpd and qmail-qmqpd as applications: many sessions in one process."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.netstrings import package, request, split_answers
from tests.support.queue_stub import QueueStub
from tests.support.sessions import MemoryStream

from pyqmail.programs import qmail_qmqpd, qmail_qmtpd

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

pytestmark = pytest.mark.process

SESSIONS = [
    (qmail_qmtpd, package(b"\nhello\n", b"sue", b"joe")),
    (qmail_qmqpd, request(b"hello\n", b"sue", b"joe")),
]


@pytest.mark.parametrize(("program", "wire"), SESSIONS)
def test_sessions_at_once_do_not_mix(program: ModuleType, wire: bytes, tmp_path: Path) -> None:
    queue = QueueStub(f"{tmp_path}/qmail-queue", f"{tmp_path}/queued")
    environ = {
        b"QMAILHOME": os.fsencode(tmp_path),
        b"QMAILQUEUE": os.fsencode(queue.path),
        b"PATH": os.defpath.encode(),
    }
    streams = [MemoryStream([wire[:20], wire[20:]]) for _ in range(5)] + [MemoryStream([b"x"])]
    hold = program.application([], None)

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(hold(environ, stream) for stream in streams))

    codes = asyncio.run(all_at_once())

    answers = [split_answers(stream.transcript()) for stream in streams]
    assert codes == [0] * 5 + [100]
    assert all(len(each) == 1 and each[0].startswith(b"Kok ") for each in answers[:-1])
    assert answers[-1] == []
    assert {envelope for _, envelope in queue.received()} == {b"Fsue\0Tjoe\0\0"}
    assert len(queue.received()) == 5
