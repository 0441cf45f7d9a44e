"""qmail-send as a process, in a queue with damaged files and beside a qmail-clean that fails."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.sending import SendHome

pytestmark = pytest.mark.process


def settle(home: SendHome, *forward_paths: bytes) -> int:
    """Have a message settled, all of its recipients deferred, and qmail-send ended."""
    home.start()
    number = home.inject(*forward_paths)
    for channel, job in home.jobs(len(forward_paths)):
        home.report(channel, bytes([job.slot]) + b"Zlater\n\0")
    home.wait_until(lambda: home.queued("todo") == {})
    home.signal(signal.SIGTERM)
    assert home.ended() == 0
    return number


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("info", rb"alert: msg N set aside, a file of it is damaged: trouble reading info/S/N"),
        ("local", rb"alert: msg N set aside, .*: unknown record type in local/S/N!"),
        ("remote", rb"alert: msg N set aside, .*: unknown record type in remote/S/N!"),
        ("mess", rb"alert: unable to stat mess/S/N; info/S/N.lost kept"),
    ],
)
def test_a_settled_message_with_a_damaged_file_is_set_aside_and_others_go_on(
    home: SendHome, kind: str, line: bytes
) -> None:
    number = settle(home, b"a@here.example", b"b@far.example")
    place = f"{number % 23}/{number}"
    if kind == "mess":
        os.unlink(f"{home.path}/queue/mess/{place}")
    else:
        with open(f"{home.path}/queue/{kind}/{place}", "wb") as file:
            file.write(b"\xffrubbish\0")

    home.start()
    home.signal(signal.SIGALRM)

    here = line.replace(b"S/N", place.encode()).replace(b" N ", b" %d " % number)
    home.wait_until_logged(b"^" + here + b"$")
    home.inject(b"c@here.example")
    home.wait_until(lambda: b"c@here.example" in {job.forward_path for _, job in home.jobs(1)})
    alerts = [told for told in home.log().splitlines() if told.startswith(b"alert: ")]
    assert all(b"%d" % number in told for told in alerts), "none is about another message"


def test_a_new_message_with_a_damaged_envelope_is_set_aside_and_others_go_on(
    home: SendHome,
) -> None:
    with open(f"{home.path}/queue/todo/4711", "wb") as file:
        file.write(b"u1\0p2\0this is no envelope")
    os.makedirs(f"{home.path}/queue/mess/19", exist_ok=True)
    with open(f"{home.path}/queue/mess/{4711 % 23}/4711", "wb") as file:
        file.write(b"x")

    home.start()

    home.wait_until_logged(rb"^alert: msg 4711 set aside, a file of it is damaged: .* todo/4711$")
    home.inject(b"c@here.example")
    assert home.jobs(1)[0][1].forward_path == b"c@here.example"
    assert "todo/4711" in home.queued("todo")


def test_a_bounce_file_that_is_none_is_an_alert_and_others_go_on(home: SendHome) -> None:
    number = settle(home, b"a@here.example")
    os.mkdir(f"{home.path}/queue/bounce/{number}")

    home.start()
    home.signal(signal.SIGALRM)
    home.jobs(1)
    home.report("local", b"\0Dno\n\0")

    home.wait_until_logged(rb"^alert: unable to append to bounce message; HELP! sleeping...$")
    home.inject(b"c@here.example")
    assert home.jobs(1)[0][1].forward_path == b"c@here.example"
    assert home.queued("local") == {f"local/{number % 23}/{number}": b"Ta@here.example\0"}


def test_a_directory_that_cannot_be_read_is_an_alert_and_others_go_on(home: SendHome) -> None:
    os.rename(f"{home.path}/queue/info/7", f"{home.path}/queue/info/gone")

    home.start()

    assert b"alert: unable to opendir info/7, sleeping...\n" in home.log()
    home.inject(b"c@here.example")
    assert home.jobs(1)[0][1].forward_path == b"c@here.example"


def test_a_lost_qmail_clean_ends_it_in_order(home: SendHome) -> None:
    home.start()
    number = home.inject(b"a@here.example")
    home.jobs(1)
    home.lose_cleaner()

    home.report("local", b"\0Kok\n\0")

    assert home.ended() == 0
    assert b"alert: oh no! lost qmail-clean connection! dying...\n" in home.log()
    assert home.log().endswith(b"status: exiting\n")
    assert f"todo/{number}" in home.queued("todo")


def test_a_qmail_clean_that_fails_is_a_warning(home: SendHome) -> None:
    home.start()
    number = home.inject(b"a@here.example")
    home.jobs(1)
    # Only an empty directory can be removed, and that not as a file.
    os.unlink(f"{home.path}/queue/intd/{number}")
    os.mkdir(f"{home.path}/queue/intd/{number}")

    home.report("local", b"\0Kok\n\0")

    home.wait_until_logged(
        rb"^warning: qmail-clean unable to clean up (todo|foop)/%d; will try again later$" % number
    )
    assert os.path.isdir(f"{home.path}/queue/intd/{number}")
