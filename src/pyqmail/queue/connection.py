"""One client of qmail-queued: its frames become messages, its messages answers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from pyqmail.queue import frames
from pyqmail.queue.envelope_file import EnvelopeParser
from pyqmail.queue.frames import FrameReader, encode_result
from pyqmail.queue.handed_over import HandedOver
from pyqmail.queue.outcome import BUG, OUT_OF_MEMORY, REFUSED_FOR_NOW, TIMEOUT, QueueFailure
from pyqmail.queue.submission import TIME_LIMIT
from pyqmail.system.descriptors import Peer, receive_descriptors

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable

    from pyqmail.queue.queued import Server
    from pyqmail.queue.store import Draft

_RECEIVE_SIZE: Final = 262144  # bytes asked for at once

_DESCRIPTORS: Final = 2  # that come with a message: 0 and 1 of qmail-queue

MAX_OPEN: Final = 256  # messages that a client has begun and not finished

MAX_SUBMITTED: Final = 256  # finished and not answered; then we stop reading for a while

MAX_UNSENT: Final = 65536  # bytes of answers that a client does not read


class _Incoming:
    """A message on its way in; without a draft it has failed and its rest is passed over."""

    __slots__ = ("began", "draft", "held", "number", "parser")

    def __init__(self, draft: Draft | None, number: int) -> None:
        self.draft = draft
        self.number = number
        self.parser = EnvelopeParser()
        self.held = 0  # bytes in memory
        self.began = time.time()


class Connection:
    """Serves one client until it hangs up. All calls come from the loop."""

    def __init__(
        self, server: Server, loop: AbstractEventLoop, client: socket.socket, peer: Peer
    ) -> None:
        self.peer = peer
        self._server = server
        self._loop = loop
        self._client = client
        self._reader = FrameReader()
        self._descriptors: list[int] = []
        self._open: dict[int, _Incoming] = {}
        self._handed_over: set[HandedOver] = set()
        self._submitted = 0
        self._outbox: list[bytes] = []
        self._passing_over = False  # the rest of the present frame
        self._at_disk = False  # a thread writes for us; nothing is read meanwhile
        self._closed = False
        loop.add_reader(client, self._receive)

    def close(self) -> None:
        """Hang up. What was not finished is forgotten, what was submitted goes on."""
        self._flush()
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._client)
        self._loop.remove_writer(self._client)
        self._client.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        for message in self._handed_over:
            message.cancel()
        if not self._at_disk:
            self._forget_all()
        self._server.forget(self)

    def drop_expired(self) -> None:
        """Give up messages that are older than a day: qmail-send would remove them."""
        oldest = time.time() - TIME_LIMIT
        for tag, incoming in list(self._open.items()):
            if incoming.draft is not None and incoming.began < oldest and not self._at_disk:
                self._fail(tag, incoming, TIMEOUT)

    # What comes in.

    def _receive(self) -> None:
        try:
            data, descriptors = receive_descriptors(self._client, _RECEIVE_SIZE, _DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors += descriptors
        if not data or len(self._descriptors) > _DESCRIPTORS:
            self.close()
            return
        self._reader.feed(data)
        self._go_on()

    def _go_on(self) -> None:
        """Handle what has been received, as far as nothing must be waited for."""
        while not (self._at_disk or self._closed or self._submitted >= MAX_SUBMITTED):
            piece = self._reader.next_piece()
            if piece is None:
                self._loop.add_reader(self._client, self._receive)
                return
            try:
                self._handle(*piece)
            except Exception as error:  # noqa: BLE001  the top of this client's business
                # An account that cannot be looked up, say. Who waits must hear that nothing comes.
                self._server.code_of(error)  # which is said in the log
                self.close()
        if not self._closed:
            self._loop.remove_reader(self._client)

    def _handle(self, tag: int, kind: bytes, piece: bytes, is_last: bool) -> None:  # noqa: FBT001  a piece's own fields
        if not self._passing_over:
            if kind == frames.BODY:
                self._take_body(tag, piece)
            elif kind == frames.ENVELOPE:
                self._passing_over = self._take_envelope(tag, piece)
            elif kind == frames.ABORT and is_last:
                self._abort(tag)
            elif kind == frames.DESCRIPTORS and is_last and len(self._descriptors) == _DESCRIPTORS:
                self._take_descriptors(tag)
            else:
                self._refuse_damage(tag)
        if is_last:
            self._passing_over = False

    def _take_body(self, tag: int, data: bytes) -> None:
        incoming = self._incoming(tag)
        if incoming.draft is not None and data:
            self._write(tag, incoming, incoming.draft.write, data, lambda: None)

    def _take_envelope(self, tag: int, data: bytes) -> bool:
        """Take part of an envelope; say whether it is over, so that the rest means nothing."""
        incoming = self._incoming(tag)
        try:
            data = incoming.parser.feed(data)
        except QueueFailure as failure:
            self._open.pop(tag, None)
            if incoming.draft is not None:
                self._fail(tag, incoming, failure.code)
            return True
        is_over = incoming.parser.finished
        if is_over:
            self._open.pop(tag, None)

        def submit() -> None:
            if is_over and incoming.draft is not None:
                self._submit(tag, incoming.draft, incoming.number, incoming.held)

        if incoming.draft is not None:
            self._write(tag, incoming, incoming.draft.write_envelope, data, submit)
        return is_over

    def _take_descriptors(self, tag: int) -> None:
        first, second = self._descriptors
        self._descriptors = []

        def done(draft: Draft | None, code: int) -> None:
            self._handed_over.discard(message)
            self._submitted -= 1
            if draft is None:
                self._answer(tag, code, self.peer.pid)
            elif self._closed:
                self._server.abandon(draft)
            else:
                self._submit(tag, draft, self.peer.pid, 0)

        message = HandedOver(self.peer.uid, self.peer.pid, (first, second), done)
        self._handed_over.add(message)
        self._submitted += 1
        self._server.readers.add(message)

    def _abort(self, tag: int) -> None:
        incoming = self._open.pop(tag, None)
        if incoming is not None:
            self._forget(incoming)

    def _refuse_damage(self, tag: int) -> None:
        """Answer what no client of ours sends, and hang up: what follows may mean anything."""
        self._answer(tag, BUG, 0)
        self.close()

    # Messages.

    def _incoming(self, tag: int) -> _Incoming:
        incoming = self._open.get(tag)
        if incoming is None:
            number = self._server.next_number()
            if len(self._open) < MAX_OPEN:
                incoming = _Incoming(self._server.intake.begin(self.peer.uid, number), number)
                self._open[tag] = incoming
            else:
                incoming = _Incoming(None, number)
                self._answer(tag, REFUSED_FOR_NOW, number)
                # It is not kept: whoever begins so many gets an answer for each frame.
        return incoming

    def _write(
        self,
        tag: int,
        incoming: _Incoming,
        write: Callable[[bytes], None],
        data: bytes,
        then: Callable[[], None],
    ) -> None:
        """Write into a draft, in a thread if that reaches the disk."""
        assert incoming.draft is not None, "the caller looked"
        if incoming.draft.spills(len(data)):
            self._release(incoming)
            self._at_disk = True
            future = self._server.at_disk(write, data)
            future.add_done_callback(lambda done: self._written(tag, incoming, done, then))
        elif not self._server.hold(len(data)):
            self._fail(tag, incoming, OUT_OF_MEMORY)
        else:
            incoming.held += len(data)
            write(data)
            then()

    def _written(
        self, tag: int, incoming: _Incoming, done: Future[None], then: Callable[[], None]
    ) -> None:
        self._at_disk = False
        error = done.exception()
        if self._closed:
            self._forget(incoming)
            self._forget_all()
            return
        if error is None:
            then()
        else:
            self._fail(tag, incoming, self._server.code_of(error))
        self._go_on()

    def _submit(self, tag: int, draft: Draft, number: int, held: int) -> None:
        self._submitted += 1

        def answer(code: int) -> None:
            self._submitted -= 1
            self._server.release(held)
            self._answer(tag, code, number)
            if self._submitted == MAX_SUBMITTED - 1 and not self._closed:
                self._go_on()

        self._server.committer.submit(draft, answer)

    def _fail(self, tag: int, incoming: _Incoming, code: int) -> None:
        """Answer now; what still comes of the message is passed over."""
        self._forget(incoming)
        self._answer(tag, code, incoming.number)

    def _forget(self, incoming: _Incoming) -> None:
        self._release(incoming)
        draft, incoming.draft = incoming.draft, None
        if draft is not None:
            self._server.abandon(draft)

    def _forget_all(self) -> None:
        for incoming in self._open.values():
            self._forget(incoming)
        self._open.clear()

    def _release(self, incoming: _Incoming) -> None:
        self._server.release(incoming.held)
        incoming.held = 0

    # What goes out.

    def _answer(self, tag: int, code: int, number: int) -> None:
        if self._closed:
            return
        if not self._outbox:
            self._loop.call_soon(self._flush)  # all answers of this turn in one call
        self._outbox.append(encode_result(tag, code, number))

    def _flush(self) -> None:
        if self._closed or not self._outbox:
            return
        data = b"".join(self._outbox)
        try:
            sent = self._client.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._outbox = []
            self.close()
            return
        if sent == len(data):
            self._outbox = []
            self._loop.remove_writer(self._client)
        elif len(data) - sent > MAX_UNSENT:
            self._outbox = []
            self.close()
        else:
            self._outbox = [data[sent:]]
            self._loop.add_writer(self._client, self._flush)
