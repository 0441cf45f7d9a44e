from __future__ import annotations

import asyncio
import os

import pytest

from pyqmail.protocol.spawn import Job
from pyqmail.send.spawners import SpawnerPipes

JOB = Job(3, b"20/457", b"sue@a", b"joe@b", wishes=b"NOTIFY=SUCCESS")


@pytest.mark.parametrize(
    ("knows_wishes", "path"), [(True, b"20/457 NOTIFY=SUCCESS"), (False, b"20/457")]
)
def test_wishes_are_for_those_who_know_them(path: bytes, *, knows_wishes: bool) -> None:
    async def play() -> bytes:
        reading, jobs = os.pipe()
        reports, writing = os.pipe()
        try:
            pipes = SpawnerPipes("remote", jobs, reports, 1, knows_wishes=knows_wishes)
            pipes.attach(asyncio.get_running_loop(), lambda _: None)
            pipes.send(JOB)
            await asyncio.sleep(0)
            return os.read(reading, 1000)
        finally:
            asyncio.get_running_loop().remove_reader(reports)
            for end in (reading, jobs, reports, writing):
                os.close(end)

    assert asyncio.run(play()) == b"\x03" + path + b"\0sue@a\0joe@b\0"
