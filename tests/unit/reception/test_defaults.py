from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.files import ControlError
from pyqmail.message.tokens import bare_address, tokenise
from pyqmail.reception.defaults import Defaults
from pyqmail.reception.submission import UnparsableLine

if TYPE_CHECKING:
    from pathlib import Path


def home(tmp_path: Path, **controls: str) -> str:
    (tmp_path / "control").mkdir()
    for name, text in controls.items():
        (tmp_path / "control" / name).write_text(text)
    return str(tmp_path)


def complete(defaults: Defaults, address: bytes) -> bytes:
    return bare_address(defaults.completion.complete(tokenise(address)))


def test_without_control_files_the_names_of_the_files_stand_in(tmp_path: Path) -> None:
    defaults = Defaults(home(tmp_path), {})

    assert complete(defaults, b"joe") == b"joe@defaulthost.defaultdomain"
    assert complete(defaults, b"joe@a+") == b"joe@a.plusdomain"
    assert defaults.id_host == b"idhost"


def test_me_is_the_default_of_all(tmp_path: Path) -> None:
    defaults = Defaults(home(tmp_path, me="m.org\n"), {})

    assert complete(defaults, b"joe") == b"joe@m.org"
    assert complete(defaults, b"joe@a") == b"joe@a.m.org"
    assert defaults.id_host == b"m.org"


def test_a_variable_replaces_a_file_even_if_it_is_empty(tmp_path: Path) -> None:
    path = home(tmp_path, me="m.org\n", defaulthost="h.org\n", idhost="i.org\n")
    defaults = Defaults(path, {b"QMAILIDHOST": b"", b"QMAILDEFAULTHOST": b"e.org"})

    assert complete(defaults, b"joe") == b"joe@e.org"
    assert defaults.id_host == b""


def test_a_file_that_is_no_piece_of_an_address_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnparsableLine) as refusal:
        Defaults(home(tmp_path, me="m.org\n", plusdomain='"p\n'), {})

    assert refusal.value.text == b'unable to parse this line:\n."p'


def test_a_file_that_cannot_be_read_is_an_error_even_if_a_variable_replaces_it(
    tmp_path: Path,
) -> None:
    path = home(tmp_path, me="m.org\n")
    (tmp_path / "control" / "idhost").mkdir()

    with pytest.raises(ControlError):
        Defaults(path, {b"QMAILIDHOST": b"x"})
