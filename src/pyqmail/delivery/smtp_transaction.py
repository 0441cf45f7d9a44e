"""One mail transaction over one connection: from the sender to the report."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyqmail.delivery.composition import Composer
from pyqmail.delivery.outcome import ACCEPTED_RECIPIENT, Outcome
from pyqmail.delivery.remote_texts import (
    PARTIAL_LINE,
    Undeliverable,
    connection_died,
    quoted,
)
from pyqmail.protocol.smtp.client import Path
from pyqmail.protocol.smtp.data_encoder import PartialLastLine
from pyqmail.protocol.smtp.server_reply import MalformedReply, Verdict

if TYPE_CHECKING:
    from pyqmail.delivery.composition import Envelope
    from pyqmail.delivery.conversation import Conversation
    from pyqmail.delivery.outgoing import OutgoingMessage
    from pyqmail.protocol.smtp.client import Answer

LONGEST: Final = 86400  # seconds for all of it, however slowly the peer goes on
AFTERWARDS: Final = 10  # seconds for answers on which nothing depends any more
_LETTERS: Final = {Verdict.ACCEPTED: b"K", Verdict.TRANSIENT: b"Z", Verdict.PERMANENT: b"D"}
_RECIPIENT_LETTERS: Final = {Verdict.TRANSIENT: b"s", Verdict.PERMANENT: b"h"}


class Transaction:
    """Hands one message to the host `partner`, its address as text; `first` in its session or not.

    The session must be idle; it is idle again if nothing went wrong.
    """

    def __init__(self, conversation: Conversation, partner: bytes, *, first: bool = True) -> None:
        self._conversation = conversation
        self._session = conversation.session
        self._partner = partner
        self._first = first
        self._reports: list[bytes] = []
        self._passed_on: frozenset[int] = frozenset()
        self._after_the_end = False  # of data: the message may be accepted

    async def run(self, envelope: Envelope, message: OutgoingMessage) -> Outcome:
        """Return what became of the message; nothing that a peer does raises."""
        try:
            async with asyncio.timeout(LONGEST):
                outcome = await self._run(envelope, message)
                await self._finish()
                return outcome
        except Undeliverable as failure:
            return self._end(failure.report)
        except (OSError, MalformedReply):  # TimeoutError is an OSError
            report = connection_died(self._partner, after_the_end=self._after_the_end)
            return self._end(report, elsewhere=not self._after_the_end)

    async def _run(self, envelope: Envelope, message: OutgoingMessage) -> Outcome:
        composer = Composer(self._partner, self._session.extensions)
        composition = composer.compose(envelope, message)
        self._passed_on = composition.passed_on
        if not composition.paths:
            self._reports += [each for each in composition.recipients if isinstance(each, bytes)]
            return self._outcome(b"DGiving up on ", b"", None)
        needs_reset = self._session.needs_reset
        self._session.begin(composition.sender, composition.paths)
        if needs_reset and not (await self._conversation.answer()).accepted:
            raise ConnectionAbortedError  # who cannot forget must not be told more
        if not (answer := await self._conversation.answer()).accepted:
            # Who has had enough messages in this session may take this one in another.
            tired = not self._first and answer.verdict is Verdict.TRANSIENT
            before = _LETTERS[answer.verdict] + b"Connected to "
            return self._outcome(
                before,
                b" but sender was rejected",
                answer,
                elsewhere=self._session.closing or tired,
            )
        for recipient in composition.recipients:
            if isinstance(recipient, Path):
                report = self._about_recipient(await self._conversation.answer())
            else:
                report = recipient
            self._reports.append(report)
        if ACCEPTED_RECIPIENT not in self._reports:
            going = self._session.closing
            return self._outcome(b"DGiving up on ", b"", None, elsewhere=going)
        if not (answer := await self._conversation.answer()).accepted:
            going = self._session.closing
            before = _LETTERS[answer.verdict]
            return self._outcome(before, b" failed on DATA command", answer, elsewhere=going)
        await self._send_message(message)
        answer = await self._conversation.answer()
        words = b" accepted message" if answer.accepted else b" failed after I sent the message"
        return self._outcome(_LETTERS[answer.verdict], words, answer)

    async def _finish(self) -> None:
        """Hear what is still to be answered, so that the connection can be used again."""
        with suppress(OSError, MalformedReply):
            async with asyncio.timeout(AFTERWARDS):
                while not (self._session.idle or self._session.closing):
                    await self._conversation.answer()

    async def _send_message(self, message: OutgoingMessage) -> None:
        piece = message.read()
        while following := message.read():
            await self._conversation.write(self._session.send_message(piece))
            piece = following
        last = self._session.send_message(piece)
        try:
            end = self._session.end_message()
        except PartialLastLine as partial:
            raise Undeliverable(PARTIAL_LINE) from partial
        # In one piece: most messages are small, and so is what a further packet brings.
        self._after_the_end = True
        await self._conversation.write(last + end)

    def _about_recipient(self, answer: Answer) -> bytes:
        if answer.accepted:
            return ACCEPTED_RECIPIENT
        words = _RECIPIENT_LETTERS[answer.verdict] + self._partner + b" does not like recipient.\n"
        return words + quoted(answer.reply.text)

    def _outcome(
        self, before: bytes, after: bytes, answer: Answer | None, *, elsewhere: bool = False
    ) -> Outcome:
        report = before + self._partner + after + b".\n"
        if answer is not None:
            report += quoted(answer.reply.text)
        return self._end(report, elsewhere=elsewhere)

    def _end(self, report: bytes, *, elsewhere: bool = False) -> Outcome:
        alone = b"DGiving up on " + self._partner + b".\n"
        return Outcome(self._reports, report, elsewhere, alone, self._passed_on)
