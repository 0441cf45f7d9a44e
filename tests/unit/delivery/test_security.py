from __future__ import annotations

import pytest

from pyqmail.control.maps import ColonMap
from pyqmail.control.tlspolicy import Policy
from pyqmail.delivery.security import Security, find_security, is_named


@pytest.mark.parametrize(
    ("certified", "name", "answer"),
    [
        (b"mx.example", b"mx.example", True),
        (b"MX.example", b"mx.Example", True),
        (b"*.example", b"mx.example", True),
        (b"*.example", b"a.mx.example", False),
        (b"*.example", b"example", False),
        (b"m*.example", b"mx.example", False),
        (b"*", b"mx", False),
        (b"*.", b"mx.", False),
        (b"a.b.example", b".example", True),
        (b"*.example", b".example", True),
        (b"example", b".example", False),
        (b"badexample", b".example", False),
        (b"192.0.2.1", b"192.0.2.1", True),
        (b"192.0.2.1", b"[192.0.2.1]", True),
        (b"*.0.2.1", b"192.0.2.1", False),
        (b"2001:DB8:0:0:0:0:0:1", b"[2001:db8::1]", True),
        (b"2001:DB8:0:0:0:0:0:1", b"[IPv6:2001:db8::1]", True),
        (b"xn--bcher-kva.example", "bücher.example".encode(), True),
        (b"mx.xn--bcher-kva.example", ".bücher.example".encode(), True),
        (b"*.xn--bcher-kva.example", "mx.bücher.example".encode(), True),
    ],
)
def test_which_name_a_certificate_may_have(certified: bytes, name: bytes, *, answer: bool) -> None:
    assert is_named([b"other.example.net", certified], [b"else.example.net", name]) is answer


def test_no_certified_name_is_no_right_one() -> None:
    assert not is_named([], [b"mx.example"])
    assert not is_named([b"mx.example"], [])


@pytest.mark.parametrize(
    ("lines", "relay", "default", "security"),
    [
        ([], None, Policy.MAY, Security(Policy.MAY)),
        ([], b"relay", Policy.VERIFY, Security(Policy.VERIFY, (b"relay",))),
        ([b":verify"], None, Policy.MAY, Security(Policy.VERIFY, (b"far", b".far"))),
        ([b":verify"], b"relay", Policy.MAY, Security(Policy.VERIFY, (b"relay",))),
        ([b":verify:x"], b"relay", Policy.MAY, Security(Policy.VERIFY, (b"x",))),
        ([b":may"], b"relay", Policy.VERIFY, Security(Policy.MAY)),
    ],
)
def test_whose_certificate_will_do(
    lines: list[bytes], relay: bytes | None, default: Policy, security: Security
) -> None:
    assert find_security(ColonMap(lines), b"far", relay, default) == security


@pytest.mark.parametrize(
    ("policy", "demanded"),
    [(Policy.NONE, False), (Policy.MAY, False), (Policy.ENCRYPT, True), (Policy.VERIFY, True)],
)
def test_where_tls_is_demanded(policy: Policy, *, demanded: bool) -> None:
    assert Security(policy).demanded is demanded
