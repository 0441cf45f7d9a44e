from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.bounce_format import MULTIPART, QSBMF, read_bounce_format
from pyqmail.control.files import ControlError

if TYPE_CHECKING:
    from pathlib import Path


def home_that_says(text: bytes | None, home: Path) -> str:
    (home / "control").mkdir()
    if text is not None:
        (home / "control/bounceformat").write_bytes(text)
    return str(home)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (None, MULTIPART),
        (b"multipart\n", MULTIPART),
        (b"qsbmf\n", QSBMF),
        (b"qsbmf \r\nanything\n", QSBMF),
    ],
)
def test_two_forms_are_known(text: bytes | None, form: bytes, tmp_path: Path) -> None:
    assert read_bounce_format(home_that_says(text, tmp_path)) == form


@pytest.mark.parametrize("text", [b"", b"\n", b"QSBMF\n", b"html\n", b"\xff\n"])
def test_any_other_word_is_an_error_that_names_file_and_line(text: bytes, tmp_path: Path) -> None:
    home = home_that_says(text, tmp_path)

    with pytest.raises(ControlError, match="control/bounceformat line 1: neither multipart nor"):
        read_bounce_format(home)
