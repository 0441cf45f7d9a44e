"""An SMTP server for tests: the engine under a caller that takes everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyqmail.protocol.smtp.events import (
    Authenticate,
    AuthenticationResponse,
    Chunk,
    Data,
    Mail,
    MessageBroken,
    MessageData,
    MessageEnd,
    Recipient,
    Reset,
    StartTls,
)
from pyqmail.protocol.smtp.reply import FLUSHED, GO_AHEAD, OK, Reply, reply
from pyqmail.protocol.smtp.server import ServerSession
from pyqmail.protocol.smtp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyqmail.protocol.smtp.events import Event

REFUSED = b"nobody@example.org"  # the one recipient that is not taken

ANSWERS: dict[type[Event], Reply | None] = {
    Data: GO_AHEAD,
    MessageData: None,
    MessageBroken: None,
    Chunk: None,
    Reset: FLUSHED,
    StartTls: reply(220, b"ready for tls"),
    Authenticate: reply(235, b"ok, go ahead (#2.0.0)"),
    AuthenticationResponse: reply(235, b"ok, go ahead (#2.0.0)"),
}


@dataclass
class Outcome:
    """What a client got, and what it left behind."""

    replies: bytes = b""
    messages: list[tuple[bytes, tuple[bytes, ...], bytes]] = field(default_factory=list)
    state: State = State.READY


class Server:
    """Feed it pieces; look at `outcome`."""

    def __init__(self) -> None:
        self.session = ServerSession()
        self.session.offer(b"STARTTLS", b"AUTH", b"XCLIENT")
        self.outcome = Outcome()
        self.seen: list[Event] = []
        self._reverse_path = b""
        self._forward_paths: list[bytes] = []
        self._message = b""

    def feed(self, data: bytes) -> None:
        """Let `data` arrive."""
        self.session.receive_data(data)
        while (event := self.session.next_event()) is not None:
            self.seen.append(event)
            answer = self._obey(event)
            if answer is not None:
                self.session.answer(answer)
        self.outcome.replies += self.session.data_to_send()
        self.outcome.state = self.session.state

    def _obey(self, event: Event) -> Reply | None:
        match event:
            case Mail():
                self._reverse_path, self._forward_paths = event.reverse_path, []
                self._message = b""
            case Recipient(forward_path) if forward_path == REFUSED:
                return reply(550, b"no such mailbox (#5.1.1)")
            case Recipient():
                self._forward_paths.append(event.forward_path)
            case Data():
                self._message = b""
            case MessageData():
                self._message += event.data
            case MessageEnd():
                envelope = self._reverse_path, tuple(self._forward_paths)
                self.outcome.messages.append((*envelope, self._message))
            case Authenticate(initial=None) | AuthenticationResponse(b""):
                return reply(334, b"")
        return ANSWERS.get(type(event), OK)


def converse(pieces: Iterable[bytes]) -> Outcome:
    """Return what comes of a client that sends `pieces`."""
    server = Server()
    for piece in pieces:
        server.feed(piece)
    return server.outcome
