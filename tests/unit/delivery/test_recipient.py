from __future__ import annotations

import pytest

from pyqmail.delivery.recipient import Recipient, environment_of


def variables(
    ext: bytes = b"", domain: bytes = b"example.org", reverse_path: bytes = b"s@x"
) -> dict[bytes, bytes]:
    recipient = Recipient(
        b"joe", b"/home/joe", b"joe-list", b"-", ext, domain, reverse_path, b"./Mailbox"
    )
    return environment_of(recipient, 0)


def test_the_lines_before_a_message_name_sender_and_recipient() -> None:
    strings = variables(reverse_path=b"a b@x")

    assert strings[b"DTLINE"] == b"Delivered-To: joe-list@example.org\n"
    assert strings[b"RPLINE"] == b'Return-Path: <"a b"@x>\n'
    assert strings[b"UFLINE"] == b"From a-b@x Thu Jan 01 00:00:00 1970\n"


def test_no_address_makes_a_line_two() -> None:
    strings = variables(domain=b"a\nb", reverse_path=b"c\nd")

    assert all(strings[name].count(b"\n") == 1 for name in (b"DTLINE", b"RPLINE", b"UFLINE"))


@pytest.mark.parametrize(
    ("ext", "parts"),
    [
        (b"a-b-c-d", [b"b-c-d", b"c-d", b"d"]),
        (b"a-b", [b"b", b"", b""]),
        (b"", [b"", b"", b""]),
    ],
)
def test_ext2_to_ext4_are_what_follows_the_dashes(ext: bytes, parts: list[bytes]) -> None:
    strings = variables(ext=ext)

    assert [strings[name] for name in (b"EXT2", b"EXT3", b"EXT4")] == parts


@pytest.mark.parametrize(
    ("domain", "parts"),
    [
        (b"a.b.c.d", [b"a.b.c", b"a.b", b"a"]),
        (b"a.b", [b"a", b"a", b"a"]),
        (b"a", [b"a", b"a", b"a"]),
        (b".x", [b"", b"", b""]),
    ],
)
def test_host2_to_host4_are_what_stands_before_the_dots(domain: bytes, parts: list[bytes]) -> None:
    strings = variables(domain=domain)

    assert [strings[name] for name in (b"HOST2", b"HOST3", b"HOST4")] == parts
