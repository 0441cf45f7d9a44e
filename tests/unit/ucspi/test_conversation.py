from __future__ import annotations

import shutil
import subprocess

import pytest

from pyqmail.ucspi.conversation import HttpBody, visible


def test_what_is_shown_is_what_cat_shows() -> None:
    if shutil.which("cat") is None:
        pytest.skip("needs cat")
    data = bytes(range(256))

    shown = subprocess.run(["cat", "-v"], input=data, capture_output=True, check=True).stdout

    assert visible(data) == shown


@pytest.mark.parametrize(
    ("response", "body"),
    [
        (b"", b""),
        (b"HTTP/1.0 200 OK\nX: y\n", b""),
        (b"HTTP/1.0 200 OK\n\none\ntwo\n", b"one\ntwo\n"),
        (b"HTTP/1.0 200 OK\n\none\n\n\ntwo", b"one\ntwo\n"),
    ],
)
def test_the_body_begins_after_an_empty_line(response: bytes, body: bytes) -> None:
    filters = [HttpBody(), HttpBody()]
    whole = filters[0].feed(response) + filters[0].end()
    pieces = [filters[1].feed(bytes([byte])) for byte in response]

    assert whole == b"".join(pieces) + filters[1].end() == body
