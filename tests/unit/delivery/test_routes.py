from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.control.maps import ColonMap
from pyqmail.control.smtproutes import Relay, find_relay_of
from pyqmail.delivery.conversation import Patience
from pyqmail.delivery.routes import read_resolver, read_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("routes", "host", "relay"),
    [
        ([b"a.b.c:r"], b"A.b.C", Relay(b"r")),
        ([b"a.b.c:r"], b"x.a.b.c", None),
        ([b".b.c:r"], b"a.b.c", Relay(b"r")),
        ([b".b.c:r"], b"b.c", None),
        ([b".c:far", b".b.c:near"], b"a.b.c", Relay(b"near")),
        ([b":r"], b"a.b.c", Relay(b"r")),
        ([b":r"], b"", Relay(b"r")),
        ([b"a.b.c:", b":r"], b"a.b.c", None),
        ([b"b.c:r"], b"a.b.c", None),
        ([], b"a.b.c", None),
    ],
)
def test_the_longest_key_decides(routes: list[bytes], host: bytes, relay: Relay | None) -> None:
    assert find_relay_of(ColonMap(routes), host) == relay


@pytest.mark.parametrize(
    ("value", "relay"),
    [
        (b"r:2525", Relay(b"r", 2525)),
        (b"r:2525x", Relay(b"r", 2525)),
        (b"r:", Relay(b"r", 25)),
        (b"[2001:db8::1]", Relay(b"[2001:db8::1]", 25)),
        (b"[2001:db8::1]:2525", Relay(b"[2001:db8::1]", 2525)),
        (b"r:0" + b"0" * 50 + b"25", Relay(b"r", 25)),
    ],
)
def test_a_relay_has_a_host_and_perhaps_a_port(value: bytes, relay: Relay) -> None:
    assert find_relay_of(ColonMap([b":" + value]), b"a") == relay


@pytest.mark.parametrize("value", [b"r:65536", b"r:99999999999", b"[::1", b"[::1]x:25"])
def test_a_place_that_cannot_exist_is_an_error(value: bytes) -> None:
    with pytest.raises(ControlError):
        find_relay_of(ColonMap([b":" + value]), b"a")


def test_what_is_not_set_has_defaults(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control/me").write_text("me.example\n")

    settings = read_settings(str(tmp_path))

    assert (settings.name, len(settings.routes)) == (b"me.example", 0)
    assert (settings.connect_timeout, settings.patience) == (60, Patience())
    assert read_resolver(str(tmp_path)) == ([], 53)


def test_the_files_say_otherwise(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    for name, text in (
        ("helohost", "helo.example"),
        ("timeoutconnect", "5"),
        ("timeoutremote", "6"),
        ("resolver", "[::1]:5353"),
        ("outgoingip", "192.0.2.1\n2001:db8::1"),
    ):
        (tmp_path / "control" / name).write_text(text + "\n")

    settings = read_settings(str(tmp_path))

    assert (settings.name, settings.connect_timeout) == (b"helo.example", 5)
    assert settings.patience == Patience(6)
    assert settings.source_for(4) == ("192.0.2.1", 0)
    assert settings.source_for(6) == ("2001:db8::1", 0)
    assert read_resolver(str(tmp_path)) == (["::1"], 5353)


def test_an_outgoing_address_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control/me").write_text("me.example\n")
    (tmp_path / "control/outgoingip").write_text("mail.example\n")

    with pytest.raises(ControlError):
        read_settings(str(tmp_path))


def test_without_a_name_there_is_no_delivery(tmp_path: Path) -> None:
    with pytest.raises(ControlError):
        read_settings(str(tmp_path))
