from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyqmail.mailbox.listing import list_messages
from pyqmail.mailbox.maildir import make_maildir
from pyqmail.protocol.pop3 import MessageEncoder, WireSize
from pyqmail.retrieval.messages import Messages, file_uid, proper_uid

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.lists(st.sampled_from([b"\n", b".", b"\r\n", b"a", b"\n."])).map(b"".join)


@pytest.fixture
def maildir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "Maildir"
    make_maildir(str(path))
    monkeypatch.chdir(path)
    return path


def deliver(maildir: Path, name: str, message: bytes, folder: str = "cur") -> None:
    (maildir / folder / name).write_bytes(message)


def messages() -> Messages:
    return Messages([entry.name for entry in list_messages(".", 1 << 62)])


def received(message: bytes) -> int:
    """Return how many bytes a client has when it has taken dots off."""
    encoder = MessageEncoder()
    wire = encoder.feed(message) + encoder.end()
    lines = wire.removesuffix(b".\r\n").split(b"\r\n")
    return len(b"\r\n".join(line.removeprefix(b".") for line in lines))


@given(message=TEXT)
def test_a_size_is_what_a_client_receives(message: bytes) -> None:
    size = WireSize()
    for start in range(0, len(message), 3):
        size.feed(message[start : start + 3])

    assert size.total() == received(message)


def test_a_size_is_found_in_the_name_or_in_the_file(maildir: Path) -> None:
    deliver(maildir, "1.a.host", b"one\ntwo")
    deliver(maildir, "2.a.host,S=5,W=1000:2,S", b"other")
    deliver(maildir, "3.a.host,W=abc", b"x\n")

    found = messages()

    assert [found.wire_size(index) for index in range(3)] == [12, 1002, 5]


@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_cannot_be_read_has_no_size(maildir: Path, make: object) -> None:
    assert callable(make)
    make("cur/1.a.host")
    found = Messages(["cur/1.a.host"])

    assert maildir.is_dir()
    assert found.wire_size(0) == 0


def test_a_message_is_found_where_another_client_has_put_it(maildir: Path) -> None:
    deliver(maildir, "1.a.host", b"x\n", "new")
    found = messages()
    os.rename("new/1.a.host", "cur/1.a.host:2,RS")

    os.close(found.open(0))
    os.rename("cur/1.a.host:2,RS", "cur/1.a.host:2,FRS")
    os.utime("cur", (1, 1))  # the folder's time has not the finest grain everywhere

    os.close(found.open(0))
    found.remove(0)
    assert os.listdir(maildir / "cur") == []


def test_another_message_is_never_taken_for_it(maildir: Path) -> None:
    deliver(maildir, "1.a.host", b"x\n")
    found = messages()
    os.rename("cur/1.a.host", "cur/1.a.host.2:2,S")

    with pytest.raises(FileNotFoundError):
        found.remove(0)

    assert os.listdir(maildir / "cur") == ["1.a.host.2:2,S"]


@pytest.mark.parametrize("name", ["new/1.a.host", "cur/1.a.host:2,FS", "cur/" + "x" * 70, "cur/!~"])
def test_a_good_name_is_its_own_id(name: str) -> None:
    assert proper_uid(name) == file_uid(name)


@pytest.mark.parametrize("name", ["x" * 71, "a b", "a\nb", "ü", ":2,S", "\udcff"])
def test_any_other_gets_one_that_is_made_of_it_and_stays_when_flags_change(name: str) -> None:
    uid = proper_uid("new/" + name)

    assert len(uid) == 32
    assert uid.isalnum()
    assert uid == proper_uid("cur/" + name + ":2,S")
