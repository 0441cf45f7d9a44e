"""When a worker of tcpserver can do without the rest of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyqmail.control.cdb import write_cdb
from pyqmail.ucspi.enclosure import Enclosure, Needs

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = Needs(readable=["/control"], variables=[b"QMAILQUEUE", b"QMAILHOME"])


def rules_of(folder: Path, data: bytes) -> str:
    path = f"{folder}/rules.cdb"
    write_cdb(path, [(b"192.0.2.", data), (b"", b"")])
    return path


@pytest.mark.parametrize(
    ("data", "suffices"),
    [
        (b"", True),
        (b"D\0", True),
        (b"+RELAYCLIENT=\0", True),
        (b"+QMAILQUEUE=/bin/filter\0", False),
        (b"+RELAYCLIENT=\0+QMAILHOME=/other\0", False),
        (b"+MYQMAILQUEUE=/bin/filter\0", True),
    ],
)
def test_rules_that_name_a_program_or_another_home_need_more(
    tmp_path: Path,
    data: bytes,
    suffices: bool,  # noqa: FBT001
) -> None:
    assert Enclosure(NEEDS, rules_of(tmp_path, data)).suffices() == suffices


def test_rules_count_from_the_moment_they_are_replaced(tmp_path: Path) -> None:
    enclosure = Enclosure(NEEDS, rules_of(tmp_path, b""))
    assert enclosure.suffices()

    rules_of(tmp_path, b"+QMAILQUEUE=/bin/filter\0")
    assert not enclosure.suffices()

    rules_of(tmp_path, b"")
    assert enclosure.suffices()


def test_rules_that_are_not_there_set_nothing(tmp_path: Path) -> None:
    assert Enclosure(NEEDS, f"{tmp_path}/absent.cdb").suffices()


@pytest.mark.skipif(os.getuid() == 0, reason="root can read everything")
def test_rules_that_cannot_be_read_may_set_anything(tmp_path: Path) -> None:
    path = rules_of(tmp_path, b"")
    os.chmod(path, 0)

    assert not Enclosure(NEEDS, path).suffices()


def test_the_application_has_the_last_word() -> None:
    answers = iter([True, False])
    needs = Needs(readable=[], suffice=lambda: next(answers))
    enclosure = Enclosure(needs, None)

    assert [enclosure.suffices(), enclosure.suffices()] == [True, False]
