from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pyqmail.delivery import conversation
from pyqmail.delivery.conversation import Conversation, Patience
from pyqmail.protocol.smtp.client import ClientSession, Path, Phase
from pyqmail.protocol.smtp.client_auth import Plain
from pyqmail.protocol.smtp.data_encoder import DataEncoder
from pyqmail.system.tls_client import ClientContexts

if TYPE_CHECKING:
    import ssl


class Slow:
    """A peer that says a byte now and then, for ever, and takes what it is given, or does not."""

    def __init__(self, pause: float, *, takes: bool = True) -> None:
        self._pause = pause
        self._takes = takes

    async def read(self) -> bytes:
        await asyncio.sleep(self._pause)
        return b"2"

    async def write(self, data: bytes) -> None:
        if data and not self._takes:
            await asyncio.get_running_loop().create_future()

    async def start_tls(self, *_arguments: object) -> None:
        await asyncio.get_running_loop().create_future()

    def peer_certificate(self) -> dict[str, object]:
        raise NotImplementedError


def test_without_a_word_of_the_administrator_each_phase_has_its_time() -> None:
    patience = Patience()

    # RFC 5321 §4.5.3.2 asks for these at least.
    least = {
        Phase.GREETING: 300,
        Phase.SENDER: 300,
        Phase.RECIPIENT: 300,
        Phase.DATA: 120,
        Phase.MESSAGE: 600,
    }
    for phase in Phase:
        assert least.get(phase, 60) <= patience.answer(phase) <= 1200
    assert patience.piece >= 180
    assert patience.handshake >= 30


def test_what_the_administrator_says_holds_for_all() -> None:
    patience = Patience(7)

    assert {patience.answer(phase) for phase in Phase} == {7}
    assert (patience.piece, patience.handshake) == (7, 7)


def test_an_answer_has_one_limit_however_slowly_it_comes() -> None:
    talk = Conversation(Slow(0.01), ClientSession(b"me"), Patience(0.1))

    with pytest.raises(TimeoutError):
        asyncio.run(talk.answer())


@pytest.mark.parametrize("phase", list(Phase))
def test_each_phase_is_given_up_after_its_own_time(
    phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = dict.fromkeys(Phase, 1000.0) | {phase: 0.01}
    monkeypatch.setattr(conversation, "_ANSWERS", times)
    talk = Conversation(Slow(5), session_in(phase), Patience())

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(talk.answer(), 500))


def session_in(phase: Phase) -> ClientSession:
    """Return a session that waits for the answer of a phase."""
    session = ClientSession(b"me")
    said = {
        Phase.GREETING: b"",
        Phase.HELLO: b"220 far\r\n",
    }.get(phase, b"220 far\r\n250 far\r\n")
    hear(session, said)
    if phase is Phase.SECURITY:
        session.ask_for_tls()
    elif phase is Phase.LOGIN:
        session.authenticate(Plain(b"joe", b"secret"))
    elif phase is Phase.RESET:
        session.begin(Path(b"s@x"), [Path(b"a@y")])
        hear(session, b"250 ok\r\n550 no\r\n")
        session.begin(Path(b"s@x"), [Path(b"a@y")])
    elif phase not in (Phase.GREETING, Phase.HELLO):
        session.begin(Path(b"s@x"), [Path(b"a@y")])
        steps = (Phase.SENDER, Phase.RECIPIENT, Phase.DATA, Phase.MESSAGE)
        for reply in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n")[: steps.index(phase)]:
            hear(session, reply)
        if phase is Phase.MESSAGE:
            session.end_message()
    assert session.awaited is phase
    return session


def hear(session: ClientSession, said: bytes) -> None:
    session.receive_data(said)
    while session.next_answer():
        session.data_to_send()


def test_a_peer_that_takes_nothing_is_given_up() -> None:
    talk = Conversation(Slow(1, takes=False), ClientSession(b"me"), Patience(0.01))

    with pytest.raises(TimeoutError):
        asyncio.run(talk.write(DataEncoder().feed(b"hello\n")))


def test_a_peer_that_does_not_shake_hands_is_given_up() -> None:
    talk = Conversation(Slow(1), ClientSession(b"me"), Patience(0.01))

    with pytest.raises(TimeoutError):
        asyncio.run(talk.speak_tls(ssl_context(), None))


def ssl_context() -> ssl.SSLContext:
    return ClientContexts("", "").context()
