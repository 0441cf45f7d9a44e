from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.messages import MESSAGE, message_file

from pyqmail.delivery import local
from pyqmail.delivery.local import obey, prepare
from pyqmail.delivery.recipient import Recipient
from pyqmail.errors import Failure, PermanentFailure, TransientFailure
from pyqmail.mailbox.maildir import make_maildir
from pyqmail.system import files

if TYPE_CHECKING:
    from pathlib import Path

    from pyqmail.delivery.local import Delivery

ENVIRON = {b"PATH": b"/usr/bin:/bin"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # prepare() goes elsewhere
    (tmp_path / "home").mkdir(mode=0o755)
    return tmp_path / "home"


def recipient(home: Path, ext: bytes | None = None, reverse_path: bytes = b"s@x") -> Recipient:
    return Recipient(
        b"joe",
        bytes(home),
        b"joe" if ext is None else b"joe-" + ext,
        b"" if ext is None else b"-",
        ext or b"",
        b"example.org",
        reverse_path,
        b"./Mailbox",
    )


def prepared(
    home: Path, ext: bytes | None = None, text: bytes = MESSAGE, reverse_path: bytes = b"s@x"
) -> Delivery:
    return prepare(recipient(home, ext, reverse_path), message_file(text), ENVIRON, 0)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)


def refusal(home: Path, ext: bytes | None = None, text: bytes = MESSAGE) -> Failure:
    with pytest.raises(Failure) as caught:
        prepared(home, ext, text)
    return caught.value


def test_without_a_file_the_default_is_done(home: Path) -> None:
    counts = obey(prepared(home))

    assert counts.report() == b"did 1+0+0\n"
    assert (home / "Mailbox").read_bytes().endswith(b"\n" + MESSAGE + b"\n")


def test_an_extension_without_a_file_is_nobody(home: Path) -> None:
    failure = refusal(home, b"x")

    assert isinstance(failure, PermanentFailure)
    assert failure.text == b"Sorry, no mailbox here by that name. (#5.1.1)"


def test_an_empty_file_means_the_default_even_with_the_x_bit(home: Path) -> None:
    write(home / ".qmail", "", mode=0o744)

    assert [i.kind for i in prepared(home).instructions] == [b"mbox"]


@pytest.mark.parametrize("mode", [0o757, 0o1755])
def test_a_home_that_is_being_changed_delays_the_message(home: Path, mode: int) -> None:
    home.chmod(mode)

    assert isinstance(refusal(home), TransientFailure)


def test_a_group_writable_file_is_accepted_and_a_world_writable_one_is_not(home: Path) -> None:
    write(home / ".qmail", "./a\n", mode=0o664)
    assert [i.text for i in prepared(home).instructions] == [b"./a"]

    write(home / ".qmail", "./a\n", mode=0o646)
    assert refusal(home).text == b"Uh-oh: .qmail file is writable. (#4.7.0)"


def test_a_fifo_is_no_file_and_does_not_hang(home: Path) -> None:
    os.mkfifo(home / ".qmail")

    assert [i.text for i in prepared(home).instructions] == [b"./Mailbox"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE])
def test_a_file_that_cannot_be_opened_delays_the_message(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(path: str) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(files, "open_to_read", fail)

    failure = refusal(home)

    assert isinstance(failure, TransientFailure)
    assert failure.text.startswith(b"Unable to open .qmail: ")


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        (b"Delivered-To: joe@example.org\n\n", True),
        (b"A: b\nDelivered-To: joe@example.org\nC: d\n", True),
        (b"A: b\n\nDelivered-To: joe@example.org\n", False),
        (b"\nDelivered-To: joe@example.org\n", False),
        (b"Delivered-To: joe@example.org", False),
        (b"Delivered-To: Joe@example.org\n\n", False),
        (b" Delivered-To: joe@example.org\n\n", False),
        (b"A: " + b"x" * 65500 + b"\nDelivered-To: joe@example.org\n\n", True),
        (b"A: " + b"x" * 65532 + b"\n\nDelivered-To: joe@example.org\n\n", False),
    ],
)
def test_a_message_loops_if_its_header_has_our_very_line(
    home: Path, text: bytes, *, loops: bool
) -> None:
    if loops:
        assert refusal(home, text=text).text == local.LOOPING
    else:
        prepared(home, text=text)


def test_a_pipe_is_no_message(home: Path) -> None:
    reading, _ = os.pipe()

    with pytest.raises(TransientFailure) as caught:
        prepare(recipient(home), reading, ENVIRON, 0)

    assert caught.value.text == b"Unable to rewind message. (#4.3.0)"


@pytest.mark.parametrize(
    ("existing", "reverse_path", "new"),
    [
        ([], b"s@x", b"s@x"),
        (["-owner"], b"s@x", b"joe-list-owner@example.org"),
        (["-owner", "-owner-default"], b"s@x", b"joe-list-owner-@example.org-@[]"),
        (["-owner-default"], b"s@x", b"s@x"),
        (["-owner"], b"", b""),
        (["-owner"], b"#@[]", b"#@[]"),
    ],
)
def test_a_list_with_an_owner_has_its_bounces_sent_there(
    home: Path, existing: list[str], reverse_path: bytes, new: bytes
) -> None:
    write(home / ".qmail-list", "ann@x\n")
    for suffix in existing:
        write(home / f".qmail-list{suffix}", "")

    delivery = prepared(home, b"list", reverse_path=reverse_path)

    assert delivery.environ[b"NEWSENDER"] == new


def test_lines_are_obeyed_in_order_up_to_the_first_failure(home: Path) -> None:
    write(home / ".qmail", "./a\n|exit 111\n./b\n")

    with pytest.raises(TransientFailure):
        obey(prepared(home))

    assert (home / "a").exists()
    assert not (home / "b").exists()


def test_exit_code_99_ends_the_instructions_with_success(home: Path) -> None:
    write(home / ".qmail", "./a\n|exit 99\n./b\n")

    counts = obey(prepared(home))

    assert counts.report() == b"did 1+0+1\n"
    assert not (home / "b").exists()


@pytest.mark.parametrize("code", [100, 64, 65, 70, 76, 77, 78, 112])
def test_these_exit_codes_of_a_program_are_permanent(home: Path, code: int) -> None:
    write(home / ".qmail", f"|exit {code}\n")

    with pytest.raises(PermanentFailure):
        obey(prepared(home))


@pytest.mark.parametrize("code", [1, 71, 74, 75, 111, 255])
def test_other_exit_codes_of_a_program_are_transient(home: Path, code: int) -> None:
    write(home / ".qmail", f"|exit {code}\n")

    with pytest.raises(TransientFailure) as caught:
        obey(prepared(home))

    assert caught.value.text == b""


def test_a_program_that_is_killed_has_crashed(home: Path) -> None:
    write(home / ".qmail", "|kill -9 $$\n")

    with pytest.raises(TransientFailure) as caught:
        obey(prepared(home))

    assert caught.value.text == b"Aack, child crashed. (#4.3.0)"


def test_every_line_gets_the_message_from_its_beginning(home: Path) -> None:
    make_maildir(str(home / "Maildir"))
    write(home / ".qmail", "|cat > a\n./Maildir/\n|cat > b\n")

    obey(prepared(home))

    (delivered,) = (home / "Maildir" / "new").iterdir()
    assert (home / "a").read_bytes() == (home / "b").read_bytes() == MESSAGE
    assert delivered.read_bytes().endswith(MESSAGE)
