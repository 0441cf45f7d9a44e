"""./run speaks SMTP to the real port, and is content with the right answers only."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

TOOLS = os.path.join(os.path.dirname(__file__), "..", "..", "tools")
HOST = "mail.example.org"
ANSWERS = {
    b"": b"220 mail.example.org ESMTP",
    b"helo": b"250 mail.example.org",
    b"mail": b"250 ok",
    b"rcpt": b"250 ok",
    b"data": b"354 go ahead",
    b".": b"250 ok 812345679 qp 12345",
    b"quit": b"221 mail.example.org",
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, os.path.join(TOOLS, f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


letters = load("letters")
conversation = load("conversation")


@contextlib.contextmanager
def server(answers: dict[bytes, bytes], heard: list[bytes]) -> Iterator[int]:
    """Answer one client by the first word of each line; give the port."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(answers[b""] + b"\r\n")
            for line in stream:
                heard.append(line)
                word = line.split()[0] if line.split() else None
                if word in answers:
                    stream.write(answers[word] + b"\r\n")
                if word == b"quit":
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def test_the_conversation_is_that_of_the_tutorials(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[bytes] = []
    with server(ANSWERS, heard) as port:
        number = conversation.converse(port, HOST)

    assert number == "12345"
    assert b"".join(heard) == (
        b"helo dude\r\nmail <budi@far.example.net>\r\nrcpt <aku@mail.example.org>\r\ndata\r\n"
        b"Subject: testing\r\n\r\nThis is a test.\r\n.\r\nquit\r\n"
    )
    shown = capsys.readouterr().out
    assert f"$ telnet 127.0.0.1 {port}\n" in shown
    assert all(answer.decode() in shown for answer in ANSWERS.values())


@pytest.mark.parametrize("word", ANSWERS)
def test_another_answer_is_a_surprise(word: bytes) -> None:
    answers = ANSWERS | {word: b"451 not now"}

    with server(answers, []) as port, pytest.raises(letters.Surprise, match="451 not now"):
        conversation.converse(port, HOST)


def test_ports_that_others_have_are_left_to_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        taken, other = occupant.getsockname()[1], free.getsockname()[1]
        free.close()
        monkeypatch.setattr(conversation, "USUAL_PORTS", {"smtp": taken, "smtps": other})

        assert conversation.choose_places() == ["--listen=smtp=127.0.0.1:0"]

    assert f"port {taken} already: smtp takes a free one" in capsys.readouterr().out


def test_the_letter_of_the_conversation_is_accepted_and_no_other() -> None:
    known = {"HOST": HOST, "UID": "666", "QP": "12345"}
    text = (
        "Return-Path: <budi@far.example.net>\nDelivered-To: aku@mail.example.org\n"
        "Received: (qmail 12345 invoked by uid 666); 4 Jan 2025 04:05:06 -0000\n"
        "Received: from unknown (HELO dude) (127.0.0.1)\n"
        "  by mail.example.org with SMTP; 4 Jan 2025 04:05:06 -0000\n"
        "Subject: testing\n\nThis is a test.\n"
    )

    letters.check_letter_by_smtp(text, **known)
    for right, wrong in (("12345", "12346"), ("HELO dude", "HELO x"), ("test.\n", "test.\n\n")):
        with pytest.raises(letters.Surprise):
            letters.check_letter_by_smtp(text.replace(right, wrong), **known)
