from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.home import configuration

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("host", "domain", "plus"),
    [
        (b"a.b.c.d", b"b.c.d", b"c.d"),
        (b"mail.example.org", b"example.org", b"example.org"),
        (b"my.domain", b"my.domain", b"my.domain"),
        (b"localhost", b"localhost", b"localhost"),
    ],
)
def test_defaults_are_the_host_without_its_first_label(
    host: bytes, domain: bytes, plus: bytes
) -> None:
    assert configuration.default_domain(host) == domain
    assert configuration.plus_domain(host) == plus


@pytest.mark.parametrize("host", [b"a", b"mail.example.org", b"A-1.example", b"a_b.example"])
def test_what_can_be_a_host_is_taken(host: bytes) -> None:
    configuration.require_host(host)

    assert configuration.default_domain(host)


@pytest.mark.parametrize(
    "host", [b"", b".", b"a..b", b"mail.example.org.", b"a b", b"a\nb", b"u@a", b"a" * 256]
)
def test_what_can_be_no_host_is_refused(host: bytes) -> None:
    with pytest.raises(PermanentFailure, match="not a host name: "):
        configuration.require_host(host)


def test_a_name_in_another_script_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(PermanentFailure, match="begins with xn--"):
        configuration.require_host("müller.example".encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, b"mail.example.org\n"),
        (b"a.example\n", b"a.example\nmail.example.org\n"),
        (b"a.example", b"a.example\nmail.example.org\n"),
        (b"# hosts\nMAIL.example.org\n", b"# hosts\nMAIL.example.org\n"),
    ],
)
def test_an_entry_is_added_once_and_nothing_else_changes(
    tmp_path: Path, before: bytes | None, after: bytes
) -> None:
    (tmp_path / "control").mkdir()
    path = tmp_path / "control" / "locals"
    if before is not None:
        path.write_bytes(before)
        path.chmod(0o600)

    configuration.add_entry(str(tmp_path), "locals", b"mail.example.org")

    assert path.read_bytes() == after
    assert path.stat().st_mode & 0o7777 == 0o644


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(TransientFailure, match=r"unable to write .*/control/me: file does"):
        configuration.write_line(str(tmp_path), "me", b"mail.example.org")


def test_entries_are_removed_and_nothing_else_changes(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    path = tmp_path / "control" / "rcpthosts"
    path.write_bytes(b"# a.org\na.org\n A.org\nA.ORG \r\n\nb.org")

    configuration.remove_entries(str(tmp_path), "rcpthosts", lambda entry: entry == b"a.org")
    configuration.remove_entries(str(tmp_path), "absent", lambda _entry: True)

    assert path.read_bytes() == b"# a.org\n A.org\n\nb.org"
    assert not (tmp_path / "control" / "absent").exists()
