from __future__ import annotations

import pytest

from pyqmail.login.porter import Plan
from pyqmail.protocol.admission import PASSWORD, Request

OURS = {b"PATH": b"/bin", b"TCPREMOTEIP": b"?"}
SAID = {
    b"TCPREMOTEIP": b"192.0.2.1",
    b"PROTO": b"TCP",
    b"MANYUSERS": b"",
    b"POP3EXTENSIONS": b"0",
    b"LD_PRELOAD": b"/tmp/x.so",
    b"PATH": b"/tmp",
    b"QMAILHOME": b"/tmp",
    b"PYTHONPATH": b"/tmp",
}


def plan(*, trusts_front: bool) -> Plan:
    return Plan(
        home="/nowhere",
        command=[b"checkpassword"],
        environ=OURS,
        checks_itself=True,
        session=None,
        trusts_front=trusts_front,
    )


def test_where_the_front_has_fewer_rights_only_harmless_variables_count() -> None:
    environ = plan(trusts_front=False).environ_of(Request(PASSWORD, SAID))

    assert environ == {
        b"PATH": b"/bin",
        b"TCPREMOTEIP": b"192.0.2.1",
        b"PROTO": b"TCP",
        b"MANYUSERS": b"",
        b"POP3EXTENSIONS": b"0",
    }


@pytest.mark.parametrize("name", SAID)
def test_where_it_has_the_same_all_do(name: bytes) -> None:
    environ = plan(trusts_front=True).environ_of(Request(PASSWORD, SAID))

    assert environ[name] == SAID[name]
