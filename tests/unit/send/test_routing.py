from __future__ import annotations

import pytest

from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.send.routing import Routing

ROUTING = Routing(
    ConstantMap([b"here.example", b"Hub.Example"]),
    ColonMap(
        [
            b"virt.example:joe-v",
            b".wild.example:mary",
            b"bob@one.example:mv3",
            b"not.wild.example:",
            b"here.example:never",
        ]
    ),
    ConstantMap([b"hub.example"]),
    b"envnoathost.example",
)


@pytest.mark.parametrize(
    ("forward_path", "channel", "address"),
    [
        (b"a@here.example", "local", b"a@here.example"),
        (b"A@HERE.example", "local", b"A@HERE.example"),
        (b"a@sub.here.example", "remote", b"a@sub.here.example"),
        (b"a@far.example", "remote", b"a@far.example"),
        (b"a", "remote", b"a@envnoathost.example"),
        (b"", "remote", b"@envnoathost.example"),
        (b"a@b@here.example", "local", b"a@b@here.example"),
        (b"x@Virt.Example", "local", b"joe-v-x@Virt.Example"),
        (b"x@sub.wild.example", "local", b"mary-x@sub.wild.example"),
        (b"x@a.b.wild.example", "local", b"mary-x@a.b.wild.example"),
        (b"x@wild.example", "remote", b"x@wild.example"),
        (b"x@not.wild.example", "remote", b"x@not.wild.example"),
        (b"bob@one.example", "local", b"mv3-bob@one.example"),
        (b"ann@one.example", "remote", b"ann@one.example"),
        (b"u%far.example@hub.example", "remote", b"u@far.example"),
        (b"u%here.example@hub.example", "local", b"u@here.example"),
        (b"u%far%hub.example@hub.example", "remote", b"u@far"),
        (b"u@hub.example", "local", b"u@hub.example"),
        (b"u%far.example@here.example", "local", b"u%far.example@here.example"),
    ],
)
def test_a_recipient_goes_where_the_control_files_say(
    forward_path: bytes, channel: str, address: bytes
) -> None:
    recipient = ROUTING.route(forward_path)

    assert (recipient.channel, recipient.address) == (channel, address)


def test_an_empty_key_rules_every_other_domain() -> None:
    routing = Routing(
        ConstantMap([b"here"]), ColonMap([b":all", b"far.example:"]), ConstantMap([]), b"here"
    )

    assert routing.route(b"x@any.example").address == b"all-x@any.example"
    assert routing.route(b"x@far.example").channel == "remote"
    assert routing.route(b"x@here").address == b"x@here"


@pytest.mark.parametrize(
    ("address", "original"),
    [
        (b"joe-v-x@virt.example", b"x@virt.example"),
        (b"mary-x@sub.wild.example", b"x@sub.wild.example"),
        (b"mv3-bob@one.example", b"bob@one.example"),
        (b"mv3-ann@one.example", b"mv3-ann@one.example"),
        (b"JOE-v-x@virt.example", b"JOE-v-x@virt.example"),
        (b"x@virt.example", b"x@virt.example"),
        (b"mary-x@not.wild.example", b"mary-x@not.wild.example"),
        (b"a-b@far.example", b"a-b@far.example"),
        (b"no-domain", b"no-domain"),
    ],
)
def test_the_sender_is_told_the_address_that_the_sender_used(
    address: bytes, original: bytes
) -> None:
    assert ROUTING.original(address) == original


def test_a_long_domain_takes_no_long_time() -> None:
    assert ROUTING.route(b"x@" + b"a." * 500).channel == "remote"
    assert ROUTING.original(b"-" * 1000 + b"@far.example").endswith(b"@far.example")
