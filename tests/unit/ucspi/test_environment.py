from __future__ import annotations

import pytest

from pyqmail.ucspi.environment import End, Ends, add_variables

LOCAL, REMOTE = End(b"192.0.2.1", 25), End(b"192.0.2.7", 4567)


@pytest.mark.parametrize(
    ("address", "end"),
    [
        (("192.0.2.1", 25), End(b"192.0.2.1", 25)),
        (("::ffff:192.0.2.1", 25, 0, 0), End(b"192.0.2.1", 25)),
        (("2001:db8::1", 25, 0, 0), End(b"2001:db8::1", 25)),
        (("fe80::1%eth0", 25, 0, 2), End(b"fe80::1", 25, b"eth0")),
    ],
)
def test_an_end_is_ipv4_where_it_can_be(address: tuple[object, ...], end: End) -> None:
    assert End.of(address) == end


def test_one_ipv6_host_may_have_a_whole_network() -> None:
    first, second, other = (
        End(ip, 1) for ip in (b"2001:db8::1", b"2001:db8:0:0:9::9", b"2001:db8:0:1::1")
    )

    assert first.network == second.network != other.network
    assert LOCAL.network != REMOTE.network


def test_what_is_known_is_set_and_what_is_not_is_taken_out() -> None:
    environ = {b"TCPREMOTEHOST": b"old", b"TCPREMOTEINFO": b"old", b"PATH": b"/bin"}

    added = add_variables(environ, Ends(LOCAL, REMOTE, local_name=b"mail", info=b""))

    assert added == {
        b"PATH": b"/bin",
        b"PROTO": b"TCP",
        b"TCPLOCALHOST": b"mail",
        b"TCPLOCALIP": b"192.0.2.1",
        b"TCPLOCALPORT": b"25",
        b"TCPREMOTEINFO": b"",
        b"TCPREMOTEIP": b"192.0.2.7",
        b"TCPREMOTEPORT": b"4567",
    }
    assert environ[b"TCPREMOTEHOST"] == b"old"


def test_ipv6_has_its_variables_under_both_names() -> None:
    ends = Ends(End(b"fe80::1", 25), End(b"fe80::2", 9, b"eth0"), remote_name=b"h")

    added = add_variables({}, ends)

    assert added[b"PROTO"] == b"TCP6"
    assert added[b"TCPREMOTEIP"] == added[b"TCP6REMOTEIP"] == b"fe80::2"
    assert added[b"TCP6REMOTEHOST"] == b"h"
    assert added[b"TCP6INTERFACE"] == b"eth0"
