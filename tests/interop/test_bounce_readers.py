"""Readers of bounces that others wrote find in both forms what they look for."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from pyqmail.message.report import failure_note
from pyqmail.send.bounces import BounceSettings, FailedMessage, compose

SYSTEM_PYTHON = "/usr/bin/python3"  # what Debian installs is not in the environment of the tests

# Each prints one line for each recipient: the address, and the status if it knows one.
FLUFL = """
import sys, email, flufl.bounce
bounce = email.message_from_binary_file(sys.stdin.buffer)
for address in flufl.bounce.scan_message(bounce):
    print(address.decode())
"""
BOUNCE_PARSER = """
use Mail::DeliveryStatus::BounceParser;
local $/;
my $bounce = Mail::DeliveryStatus::BounceParser->new(<STDIN>);
print "message ", $bounce->orig_message_id, "\\n";
for my $report ($bounce->reports) {
    print join(" ", map { s/\\s+$//r } $report->get("email"), $report->get("status")), "\\n";
}
"""
SISIMAI = """
use Sisimai;
local $/;
my $text = <STDIN>;
for my $found (@{ Sisimai->make(\\$text) }) {
    print $found->recipient->address, " ", $found->deliverystatus, "\\n";
}
"""

MESSAGE = (
    b"Received: (qmail 1 invoked by uid 1); 1 Jan 2025 00:00:00 -0000\n"
    b"Date: 1 Jan 2025 00:00:00 -0000\n"
    b"Message-ID: <42@a.example>\n"
    b"From: joe@a.example\n"
    b"To: nobody@b.example, ann@far.example\n"
    b"Subject: hello\n"
    b"\n"
    b"Is anybody there?\n"
)
NOTES = failure_note(
    b"nobody@b.example", b"Sorry, no mailbox here by that name. (#5.1.1)\n"
) + failure_note(
    b"ann@far.example",
    b"192.0.2.7 does not like recipient.\n"
    b"Remote host said: 550 5.7.1 go away\n"
    b"Giving up on 192.0.2.7.\n",
)
SETTINGS = BounceSettings(
    b"MAILER-DAEMON", b"b.example", b"postmaster@b.example", is_multipart=True, bouncemaxbytes=0
)


def bounce(*, is_multipart: bool) -> bytes:
    """Return the bounce as it lies in the mailbox of the sender."""
    failed = FailedMessage(
        b"joe@a.example", len(MESSAGE), 1735689600, lambda: [MESSAGE], lambda: [NOTES]
    )
    composed = compose(failed, replace(SETTINGS, is_multipart=is_multipart), 1735689601)
    assert composed is not None
    return (
        b"Return-Path: <>\n"
        b"Delivered-To: joe@a.example\n"
        b"Received: (qmail 9 invoked for bounce); 1 Jan 2025 00:00:01 -0000\n"
        + b"".join(composed.pieces)
    )


def lines_of(argv: list[str], text: bytes) -> list[str]:
    answer = subprocess.run(argv, input=text, capture_output=True, check=True, timeout=60)
    return sorted(line.strip() for line in answer.stdout.decode().splitlines())


def require(argv: list[str], package: str) -> None:
    try:
        answer = subprocess.run(argv, capture_output=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.skip(f"there is no {argv[0]}")
    if answer.returncode:
        pytest.skip(f"Debian's {package} is not installed")


@pytest.mark.peer
@pytest.mark.process
@pytest.mark.parametrize("is_multipart", [True, False])
def test_the_detectors_of_mailman_find_everybody(*, is_multipart: bool) -> None:
    require([SYSTEM_PYTHON, "-c", "import flufl.bounce"], "python3-flufl.bounce")

    found = lines_of([SYSTEM_PYTHON, "-c", FLUFL], bounce(is_multipart=is_multipart))

    assert found == ["ann@far.example", "nobody@b.example"]


@pytest.mark.peer
@pytest.mark.process
def test_the_bounce_parser_of_perl_finds_everybody_the_reasons_and_the_message() -> None:
    require(
        ["perl", "-MMail::DeliveryStatus::BounceParser", "-e1"],
        "libmail-deliverystatus-bounceparser-perl",
    )

    found = lines_of(["perl", "-e", BOUNCE_PARSER], bounce(is_multipart=True))

    assert found == ["ann@far.example 5.7.1", "message <42@a.example>", "nobody@b.example 5.1.1"]


@pytest.mark.peer
@pytest.mark.process
@pytest.mark.parametrize("is_multipart", [True, False])
def test_sisimai_finds_everybody_and_the_reasons(*, is_multipart: bool) -> None:
    require(["perl", "-MSisimai", "-e1"], "libsisimai-perl")

    found = lines_of(["perl", "-e", SISIMAI], bounce(is_multipart=is_multipart))

    assert found == ["ann@far.example 5.7.1", "nobody@b.example 5.1.1"]
