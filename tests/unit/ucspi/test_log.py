from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyqmail.ucspi.environment import End, Ends
from pyqmail.ucspi.log import ERRORS, EVERYTHING, SILENT, Log

if TYPE_CHECKING:
    import pytest

ENDS = Ends(End(b"192.0.2.1", 25), End(b"2001:db8::1", 4567), b"mail%x", b"a:b c\xff", b"j" * 100)


def said(verbosity: int, capfd: pytest.CaptureFixture[str]) -> list[str]:
    log = Log(verbosity)
    log.status(1, 40)
    log.begin(7, b"192.0.2.7")
    log.decision(7, ENDS, denied=False)
    log.decision(7, Ends(ENDS.local, ENDS.local), denied=True)
    log.drop(b"no fork")
    log.refuse(b"192.0.2.7")
    log.tell(b"odd")
    log.end(7, 256)
    return capfd.readouterr().err.splitlines()


def test_everything_is_said_if_it_is_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    assert said(EVERYTHING, capfd) == [
        "tcpserver: status: 1/40",
        "tcpserver: pid 7 from 192.0.2.7",
        f"tcpserver: ok 7 mail?x:192.0.2.1:25 a?b?c?:2001:db8::1:{'j' * 100}...:4567",
        "tcpserver: deny 7 :192.0.2.1:25 :192.0.2.1::25",
        "tcpserver: warning: dropping connection, no fork",
        "tcpserver: refuse 192.0.2.7: too many connections from there",
        "tcpserver: warning: odd",
        "tcpserver: end 7 status 256",
    ]


def test_errors_are_said_unless_silence_is_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    assert [line.split()[1] for line in said(ERRORS, capfd)] == ["warning:", "warning:"]
    assert said(SILENT, capfd) == []


def test_what_is_quoted_cannot_make_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    Log(ERRORS).drop(b"bad text: a\r\ntcpserver: ok")

    expected = "tcpserver: warning: dropping connection, bad text: a??tcpserver: ok\n"
    assert capfd.readouterr().err == expected


def test_a_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _descriptor, data: written.append(data))

    Log(EVERYTHING).decision(7, ENDS, denied=False)

    assert len(written) == 1
    assert written[0].endswith(b"\n")
