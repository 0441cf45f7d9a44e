from __future__ import annotations

import pytest

from pyqmail.message.content import MAX_LINE, Characters, Form, HeaderCharacters


def form_of(*pieces: bytes) -> Form:
    form = Form(b"BOUNDARY")
    for piece in pieces:
        form.feed(piece)
    return form


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (b"", b"7bit"),
        (b"plain\n\ttext\x1b\n", b"7bit"),
        (b"as on the wire\r\n\r\n", b"7bit"),
        (b"na\xc3\xafve\n", b"8bit"),
        (b"any \xff\n", b"8bit"),
        (b"a\0b\n", b"binary"),
        (b"a\rb\n", b"binary"),
        (b"a\r\r\nb\n", b"binary"),
        (b"at the end\r", b"binary"),
        (b"x" * MAX_LINE + b"\n", b"7bit"),
        (b"y\n" + b"x" * (MAX_LINE + 1) + b"\nz", b"binary"),
        (b"x" * (MAX_LINE + 1), b"binary"),
    ],
)
def test_the_label_is_true_wherever_the_text_is_cut(text: bytes, encoding: bytes) -> None:
    assert form_of(text).encoding == encoding
    for cut in range(len(text)):
        assert form_of(text[:cut], text[cut:]).encoding == encoding
    assert form_of(*[bytes([byte]) for byte in text]).encoding == encoding


def test_a_boundary_is_found_wherever_the_text_is_cut() -> None:
    text = b"...BOUNDARY..."

    for cut in range(len(text)):
        assert form_of(text[:cut], text[cut:]).has_boundary
    assert form_of(*[bytes([byte]) for byte in text]).has_boundary
    assert not form_of(b"BOUND", b"boundary", b"BOUNDAR").has_boundary


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (b"", b"us-ascii"),
        (b"abc", b"us-ascii"),
        ("abc ü €".encode(), b"utf-8"),
        (b"abc \xfc", b"unknown-8bit"),
        (b"\xc3", b"unknown-8bit"),
        (b"\xc3\xbc \xfc", b"unknown-8bit"),
    ],
)
def test_the_character_set_is_told_wherever_the_text_is_cut(text: bytes, charset: bytes) -> None:
    for cut in range(len(text) + 1):
        characters = Characters()
        characters.feed(text[:cut])
        characters.feed(text[cut:])
        assert characters.charset == charset


@pytest.mark.parametrize(
    ("message", "is_international"),
    [
        (b"Subject: x\n\nbody", False),
        (b"Subject: x\n\n\xc3\xbc", False),
        (b"Subject: \xc3\xbc\n\nbody", True),
        (b"Subject: \xc3\xbc\r\n\r\n\xff", True),
        (b"Subject: \xc3\xbc\n\n\xff", True),
        (b"Subject: x\nX: \xfc\n\n\xc3\xbc", False),
        (b"\n\xc3\xbc", False),
        (b"\r\n\xc3\xbc", False),
        (b"X: \xc3\xbc", True),
        (b"", False),
    ],
)
def test_only_the_header_section_makes_a_message_international(
    message: bytes, *, is_international: bool
) -> None:
    for cut in range(len(message) + 1):
        header = HeaderCharacters()
        header.feed(message[:cut])
        header.feed(message[cut:])
        assert header.is_international is is_international, cut
