"""PROXY and XCLIENT: only whom we trust may speak for others, and they lose what is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support import simulated_time
from tests.support.sessions import MemoryStream
from tests.support.smtp_host import ENVELOPE, MESSAGE, QUIT, Host

from pyqmail.reception.smtp import FAILURE, SUCCESS, serve

if TYPE_CHECKING:
    from pathlib import Path

HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 4567 25\r\n"
NO_HEADER = b"421 sorry, your proxy doesn't say who you are (#4.3.5)\r\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.set("proxypeers", "192.0.2.0/24\n")
    host.set("xclientpeers", "192.0.2.7\n2001:db8::/32\n")
    return host


@pytest.mark.parametrize("cut", [0, 1, 5, 20, len(HEADER) - 1, len(HEADER)])
def test_the_client_is_whom_the_proxy_names(host: Host, cut: int) -> None:
    wire = HEADER + ENVELOPE + MESSAGE + QUIT
    pieces = [piece for piece in (wire[:cut], wire[cut:]) if piece]

    status, _ = host.hold(*pieces, TCPREMOTEIP=b"192.0.2.7", TCPREMOTEHOST=b"proxy")

    assert status == SUCCESS
    assert host.queue.queued[0].message.startswith(
        b"Received: from unknown (203.0.113.9)\n  by 192.0.2.1 with SMTP; "
    )


def test_the_greeting_waits_for_the_proxy(host: Host) -> None:
    host.hold(HEADER, QUIT, TCPREMOTEIP=b"192.0.2.7")

    assert host.stream.heard[:2] == [b"", b"220 mail.example.org ESMTP\r\n"]


def test_the_client_of_a_proxy_has_none_of_its_rights(host: Host) -> None:
    _, lines = host.hold(
        HEADER + b"MAIL FROM:<a@b>\r\nRCPT TO:<far@example.com>\r\n",
        TCPREMOTEIP=b"192.0.2.7",
        RELAYCLIENT=b"",
    )

    assert lines[-1].startswith(b"553 ")


def test_a_proxy_that_speaks_for_itself_keeps_them(host: Host) -> None:
    _, lines = host.hold(
        b"PROXY UNKNOWN\r\nMAIL FROM:<a@b>\r\nRCPT TO:<far@example.com>\r\n",
        TCPREMOTEIP=b"192.0.2.7",
        RELAYCLIENT=b"",
    )

    assert lines[-1] == b"250 ok"


def test_a_proxy_that_does_not_speak_its_protocol_is_told_so(host: Host) -> None:
    status, _ = host.hold(b"EHLO x\r\n", TCPREMOTEIP=b"192.0.2.7")

    assert status == FAILURE
    assert host.stream.transcript() == NO_HEADER


def test_a_proxy_that_says_nothing_is_not_waited_for(host: Host) -> None:
    stream = MemoryStream([HEADER[:9]], patient=True)
    environ = {b"TCPREMOTEIP": b"192.0.2.7"}

    status, seconds = simulated_time.run(serve(host.home, environ, stream, host.queue))  # type: ignore[arg-type]

    assert (status, seconds) == (FAILURE, 60)
    assert stream.transcript() == NO_HEADER


def test_nobody_else_may_say_proxy(host: Host) -> None:
    _, lines = host.hold(HEADER + QUIT, TCPREMOTEIP=b"198.51.100.1")

    assert lines == [b"502 unimplemented (#5.5.1)", b"221 mail.example.org"]


def test_xclient_names_the_client(host: Host) -> None:
    host.set("proxypeers", "")
    introduction = (
        b"XCLIENT NAME=c.example.net ADDR=203.0.113.9 PORT=4567 DESTADDR=[UNAVAILABLE]\r\n"
    )

    _, lines = host.hold(
        b"EHLO proxy\r\n" + introduction + b"HELO x\r\n" + ENVELOPE + MESSAGE,
        TCPREMOTEIP=b"192.0.2.7",
        TCPLOCALIP=b"192.0.2.1",
        RELAYCLIENT=b"",
    )

    assert b"250 XCLIENT NAME ADDR PORT DESTADDR DESTPORT" in lines
    assert b"220 mail.example.org ESMTP" in lines
    assert host.queue.queued[0].message.startswith(
        b"Received: from c.example.net (HELO x) (203.0.113.9)\n  by unknown with SMTP; "
    )


@pytest.mark.parametrize(
    "argument",
    [b"", b"LOGIN=joe", b"ADDR=here", b"ADDR=IPV6:192", b"NAME", b"NAME=a+b", b"NAME=a+0D+0Ab x"],
)
def test_what_is_no_introduction_is_refused(host: Host, argument: bytes) -> None:
    host.set("proxypeers", "")

    _, lines = host.hold(b"XCLIENT " + argument + b"\r\n", TCPREMOTEIP=b"192.0.2.7")

    assert [line[:3] for line in lines] in ([b"501"], [b"555"])


def test_a_name_with_line_ends_makes_no_second_field(host: Host) -> None:
    host.set("proxypeers", "")

    host.hold(b"XCLIENT NAME=a+0D+0Ab:c\r\n" + ENVELOPE + MESSAGE, TCPREMOTEIP=b"192.0.2.7")

    assert host.queue.queued[0].message.startswith(b"Received: from a??b:c (192.0.2.7)\n")


def test_who_is_introduced_may_not_introduce_itself_to_more(host: Host) -> None:
    host.set("proxypeers", "")

    _, lines = host.hold(
        b"XCLIENT ADDR=IPV6:2001:db8::9\r\n"
        b"MAIL FROM:<a@b>\r\nXCLIENT ADDR=192.0.2.9\r\nRCPT TO:<far@example.com>\r\n",
        TCPREMOTEIP=b"2001:db8::7",
        RELAYCLIENT=b"",
    )

    assert lines[0].startswith(b"220 ")
    assert lines[-2:] == [
        b"503 not during mail transaction (#5.5.1)",
        b"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    ]


def test_nobody_else_may_say_xclient(host: Host) -> None:
    _, lines = host.hold(
        b"EHLO x\r\nXCLIENT ADDR=192.0.2.7\r\nXCLIENT ADDR=192.0.2.7\r\n",
        TCPREMOTEIP=b"198.51.100.1",
    )

    assert not any(b"XCLIENT" in line for line in lines)
    assert lines[-2:] == [b"502 unimplemented (#5.5.1)"] * 2
