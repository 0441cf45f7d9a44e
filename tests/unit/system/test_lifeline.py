from __future__ import annotations

import os
import signal

import pytest

from pyqmail.system.lifeline import end_at_hangup

pytestmark = pytest.mark.process


def test_a_process_ends_when_its_lifeline_is_let_go() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        end_at_hangup(reading)
        while True:
            signal.pause()
    os.close(reading)

    os.close(writing)

    status = os.waitpid(child, 0)[1]
    assert os.WTERMSIG(status) == signal.SIGTERM
