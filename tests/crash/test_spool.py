"""A mailbox of the spool is moved, and moved back: at every call it may end, and go on later."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.support.disk import dies_at

from pyqmail.home import spool as module
from pyqmail.home.spool import MAILBOX, MAILDIR, Move
from pyqmail.mailbox.reading import letters
from pyqmail.system.accounts import Account

if TYPE_CHECKING:
    from pathlib import Path

FROM = b"From ann@example.org Sat Jan 03 04:05:06 2025\n"
LETTERS = [b"Subject: %d\n\nletter\n" % number for number in range(3)]
MBOX = b"".join(FROM + text + b"\n" for text in LETTERS)
OLD = FROM + b"Subject: old\n\nfrom before\n\n"
NEW = FROM + b"Subject: new\n\ncame later\n\n"


def make(top: Path, kind: str) -> Move:
    shutil.rmtree(top, ignore_errors=True)
    (top / "spool").mkdir(parents=True)
    (top / "home").mkdir()
    (top / "spool" / "aku").write_bytes(MBOX)
    if kind == MAILBOX:
        (top / "home" / "Mailbox").write_bytes(OLD)
    account = Account("aku", os.getuid(), os.getgid(), str(top / "home"))
    source, target = str(top / "spool" / "aku"), str(top / "home" / kind)
    return Move(account, source, target, len(MBOX))


def mail_in(path: str) -> list[bytes]:
    """Return the letters of an mbox or a Maildir."""
    if os.path.isdir(path):
        return [
            _read(f"{path}/{folder}/{name}")
            for folder in ("new", "cur")
            if os.path.isdir(f"{path}/{folder}")
            for name in sorted(os.listdir(f"{path}/{folder}"))
        ]
    return [letter.text for letter in letters(_read(path))] if os.path.exists(path) else []


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("kind", [MAILBOX, MAILDIR])
def test_a_move_that_dies_anywhere_loses_nothing_and_is_finished_by_the_next(
    tmp_path: Path, kind: str
) -> None:
    wanted = sorted(LETTERS + ([b"Subject: old\n\nfrom before\n"] if kind == MAILBOX else []))
    for step in itertools.count():
        task = make(tmp_path / "top", kind)

        died = dies_at(step, lambda task=task: module.move(task))

        everywhere = mail_in(task.target) + mail_in(os.path.realpath(task.source))
        assert set(LETTERS) <= set(everywhere), step
        if not os.path.islink(task.source):
            assert _read(task.source) == MBOX
            module.move(task)
        assert sorted(mail_in(task.target)) == wanted, step
        assert os.readlink(task.source) == task.target
        assert not os.path.exists(task.source + ".lock") or died
        if not died:
            break
    assert step > 8


def test_a_half_copy_that_something_else_was_delivered_behind_is_no_loss(tmp_path: Path) -> None:
    task = make(tmp_path / "top", MAILBOX)
    with open(task.target, "ab") as mailbox:
        mailbox.write(MBOX[:-40] + b"\n" + NEW)
    with open(task.target + ".before-move", "wb") as mark:
        mark.write(b"%d" % len(OLD))

    module.move(task)

    assert set(LETTERS) <= set(mail_in(task.target))
    assert NEW in _read(task.target)


@pytest.mark.parametrize("kind", [MAILBOX, MAILDIR])
def test_a_move_back_that_dies_anywhere_loses_nothing(tmp_path: Path, kind: str) -> None:
    for step in itertools.count():
        task = make(tmp_path / "top", kind)
        module.move(task)
        wanted = sorted(mail_in(task.target))

        died = dies_at(step, lambda task=task: module.move_back(task))

        if os.path.islink(task.source):
            assert sorted(mail_in(task.target)) == wanted, step
            module.move_back(task)
        found = mail_in(task.source)
        assert set(wanted) == set(found), step
        if not died:
            assert sorted(found) == wanted
            assert mail_in(task.target) == []
            break
    assert step > 5


def test_a_writer_who_waited_for_the_lock_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make(tmp_path / "top", MAILBOX)
    stranger = os.open(task.source, os.O_WRONLY | os.O_APPEND)
    put_link = module._put_link  # noqa: SLF001  the moment at which the stranger writes

    def put_link_and_write(task: Move) -> None:
        put_link(task)
        os.write(stranger, NEW)

    monkeypatch.setattr(module, "_put_link", put_link_and_write)

    module.move(task)

    os.close(stranger)
    assert mail_in(task.target)[-1] == b"Subject: new\n\ncame later\n"
    assert len(mail_in(task.target)) == len(LETTERS) + 2


def test_a_mailbox_that_somebody_has_locked_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyqmail.home.mail_lock.MailLock._wait", refuse_at_once)
    task = make(tmp_path / "top", MAILBOX)
    (tmp_path / "top" / "spool" / "aku.lock").write_bytes(b"1\n")

    with pytest.raises(TimeoutError):
        module.move(task)

    assert _read(task.source) == MBOX
    assert _read(task.target) == OLD


def refuse_at_once(_lock: object, attempt: object) -> None:
    if not attempt():
        raise TimeoutError
