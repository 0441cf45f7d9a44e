from __future__ import annotations

import socket

import pytest

from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.home.services import Place, Reservation, choose_places

USUAL = {
    "smtp": Place("127.0.0.1", 2525),
    "submission": Place("127.0.0.1", 2587),
    "smtps": Place("127.0.0.1", 2465),
    "pop3": Place("127.0.0.1", 2110),
    "pop3s": Place("127.0.0.1", 2995),
}


@pytest.mark.parametrize(
    ("options", "different"),
    [
        ([], {}),
        (["smtp=127.0.0.1:0"], {"smtp": Place("127.0.0.1", 0)}),
        (["smtp=[::1]:25"], {"smtp": Place("::1", 25)}),
        (["smtp=::1:25"], {"smtp": Place("::1", 25)}),
        (
            ["smtp=0:25", "smtps=localhost:65535"],
            {"smtp": Place("0", 25), "smtps": Place("localhost", 65535)},
        ),
        (["pop3=127.0.0.1:110"], {"pop3": Place("127.0.0.1", 110)}),
        (["smtp=off", "smtp=127.0.0.1:1"], {"smtp": Place("127.0.0.1", 1)}),
    ],
)
def test_services_are_where_they_are_told_to_be_else_where_they_usually_are(
    options: list[str], different: dict[str, Place]
) -> None:
    assert choose_places(options) == USUAL | different


def test_a_service_that_is_off_is_nowhere() -> None:
    assert choose_places([f"{name}=off" for name in USUAL]) == {}


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("imap=127.0.0.1:0", "no service imap: there are smtp, submission, smtps, pop3, pop3s"),
        ("2525", "no service 2525: "),
        ("smtp", "not HOST:PORT or off: : write --listen smtp=127.0.0.1:0"),
        ("smtp=2525", "not HOST:PORT or off: 2525"),
        ("smtp=:2525", "not HOST:PORT or off: :2525"),
        ("smtp=127.0.0.1:", "not HOST:PORT or off: 127.0.0.1:"),
        ("smtp=127.0.0.1:-1", "not HOST:PORT or off: 127.0.0.1:-1"),
        ("smtp=127.0.0.1:65536", "not HOST:PORT or off: 127.0.0.1:65536"),
        ("smtp=127.0.0.1:2_5", "not HOST:PORT or off: 127.0.0.1:2_5"),
        ("smtp=127.0.0.1:\u0662", "not HOST:PORT or off: 127.0.0.1:\u0662"),
    ],
)
def test_what_is_no_place_is_refused(option: str, text: str) -> None:
    with pytest.raises(PermanentFailure) as failure:
        choose_places([option])

    assert str(failure.value).startswith(text)


def test_a_reserved_port_is_kept_from_others_but_not_from_tcpserver() -> None:
    reservation = Reservation("smtp", Place("127.0.0.1", 0))
    port = reservation.place.port

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)):  # as tcpserver does, with SO_REUSEADDR
        reservation.release()


def test_an_occupied_port_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        with pytest.raises(TransientFailure) as failure:
            Reservation("smtp", Place("127.0.0.1", port))

    assert str(failure.value) == (
        f"smtp cannot listen on 127.0.0.1:{port}: address already used: name another place, "
        "any free port (--listen smtp=127.0.0.1:0) or none (--listen smtp=off)"
    )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "not a host"])
def test_a_place_that_is_not_here_is_refused(host: str) -> None:
    with pytest.raises(TransientFailure, match=f"smtp cannot listen on {host}:0: "):
        Reservation("smtp", Place(host, 0))


def test_everywhere_stays_everywhere() -> None:
    reservation = Reservation("smtp", Place("0", 0))
    reservation.release()

    assert reservation.place.host == "0"
    assert reservation.place.port > 0
    assert not reservation.place.is_loopback


@pytest.mark.parametrize(
    ("place", "text", "is_loopback"),
    [
        (Place("127.0.0.1", 25), "127.0.0.1:25", True),
        (Place("::1", 25), "[::1]:25", True),
        (Place("192.0.2.1", 25), "192.0.2.1:25", False),
        (Place("localhost", 25), "localhost:25", False),
    ],
)
def test_a_place_is_written_as_people_do(place: Place, text: str, *, is_loopback: bool) -> None:
    assert (str(place), place.is_loopback) == (text, is_loopback)
