"""One mail transaction over one connection: from the greeting to the report."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyqmail.delivery.remote_texts import (
    ACCEPTED_RECIPIENT,
    PARTIAL_LINE,
    Undeliverable,
    connection_died,
    quoted,
)
from pyqmail.protocol.smtp.data_encoder import PartialLastLine
from pyqmail.protocol.smtp.server_reply import MalformedReply, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyqmail.delivery.outgoing import OutgoingMessage
    from pyqmail.protocol.smtp.client import Answer, ClientSession
    from pyqmail.system.streams import Stream

LONGEST: Final = 86400  # seconds for all of it, however slowly the peer goes on
_LETTERS: Final = {Verdict.ACCEPTED: b"K", Verdict.TRANSIENT: b"Z", Verdict.PERMANENT: b"D"}
_RECIPIENT_LETTERS: Final = {Verdict.TRANSIENT: b"s", Verdict.PERMANENT: b"h"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """Reverse-path and forward-paths as they stand on the wire, without angle brackets."""

    reverse_path: bytes
    forward_paths: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction: the report on each recipient, then that on the message.

    With `elsewhere`, nothing was decided: another host of the same domain may take it.
    """

    recipients: Sequence[bytes]
    message: bytes
    elsewhere: bool = False


class Transaction:
    """Hands one message to the host `partner`, its address as text, in a session over `stream`."""

    def __init__(
        self, stream: Stream, session: ClientSession, partner: bytes, timeout: float
    ) -> None:
        self._stream = stream
        self._session = session
        self._partner = partner
        self._timeout = timeout  # seconds for one answer, or for one piece to be taken
        self._reports: list[bytes] = []
        self._after_the_end = False  # of data: the message may be accepted

    async def run(self, envelope: Envelope, message: OutgoingMessage) -> Outcome:
        """Return what became of the message; nothing that a peer does raises."""
        try:
            async with asyncio.timeout(LONGEST):
                return await self._run(envelope, message)
        except Undeliverable as failure:
            return Outcome(self._reports, failure.report)
        except (OSError, MalformedReply):  # TimeoutError is an OSError
            report = connection_died(self._partner, after_the_end=self._after_the_end)
            return Outcome(self._reports, report, elsewhere=not self._after_the_end)

    async def _run(self, envelope: Envelope, message: OutgoingMessage) -> Outcome:
        if not self._session.idle:
            refusal = await self._be_greeted()
            if refusal is not None:
                return refusal
        parameters = self._parameters(envelope, message)
        self._session.begin(envelope.reverse_path, envelope.forward_paths, parameters)
        if not (answer := await self._answer()).accepted:
            going = self._session.closing
            before = _LETTERS[answer.verdict] + b"Connected to "
            return self._outcome(before, b" but sender was rejected", answer, elsewhere=going)
        for _ in envelope.forward_paths:
            self._reports.append(self._about_recipient(await self._answer()))
        if ACCEPTED_RECIPIENT not in self._reports:
            return self._outcome(b"DGiving up on ", b"", None)
        if not (answer := await self._answer()).accepted:
            return self._outcome(_LETTERS[answer.verdict], b" failed on DATA command", answer)
        await self._send_message(message)
        answer = await self._answer()
        words = b" accepted message" if answer.accepted else b" failed after I sent the message"
        return self._outcome(_LETTERS[answer.verdict], words, answer)

    async def _be_greeted(self) -> Outcome | None:
        """Hear the greeting and say our name; return an outcome if one of them leads nowhere."""
        for words in (b" but greeting failed", b" but my name was rejected"):
            if not (answer := await self._answer()).accepted:
                return self._outcome(b"ZConnected to ", words, answer, elsewhere=True)
        return None

    async def _send_message(self, message: OutgoingMessage) -> None:
        while data := message.read():
            await self._write(self._session.send_message(data))
        try:
            end = self._session.end_message()
        except PartialLastLine as partial:
            raise Undeliverable(PARTIAL_LINE) from partial
        self._after_the_end = True
        await self._write(end)

    def _parameters(self, envelope: Envelope, message: OutgoingMessage) -> bytes:
        extensions = self._session.extensions
        parameters = b""
        if b"SIZE" in extensions or b"8BITMIME" in extensions:
            facts = message.facts()
            if facts and b"SIZE" in extensions:
                parameters += b" SIZE=%d" % facts.size
            if facts and facts.has_eight_bits and b"8BITMIME" in extensions:
                parameters += b" BODY=8BITMIME"
        paths = (envelope.reverse_path, *envelope.forward_paths)
        if b"SMTPUTF8" in extensions and not all(map(bytes.isascii, paths)):
            parameters += b" SMTPUTF8"
        return parameters

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
        return Outcome(self._reports, report, elsewhere)

    async def _answer(self) -> Answer:
        """Return the next answer. Raises OSError or MalformedReply."""
        # One limit for all of it: a peer that gives a byte a minute must not hold us.
        async with asyncio.timeout(self._timeout):
            await self._stream.write(self._session.data_to_send())
            while (answer := self._session.next_answer()) is None:
                await self._stream.write(self._session.data_to_send())
                data = await self._stream.read()
                if not data:
                    raise ConnectionResetError
                self._session.receive_data(data)
        return answer

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(self._timeout):
            await self._stream.write(self._session.data_to_send() + data)
