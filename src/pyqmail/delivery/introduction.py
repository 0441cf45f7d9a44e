"""The beginning of a session: greeting and names, TLS, login.

What goes wrong here is never the message's fault: it is for now, and the next
host of the domain may be asked.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from pyqmail.control.tlspolicy import Policy
from pyqmail.delivery.outcome import Outcome
from pyqmail.delivery.remote_texts import NO_MECHANISM, NO_TLS_OFFERED, quoted
from pyqmail.delivery.security import is_named
from pyqmail.protocol.smtp.client_auth import choose_exchange
from pyqmail.protocol.smtp.server_reply import MalformedReply, Verdict
from pyqmail.system.tls_client import certified_names

if TYPE_CHECKING:
    from pyqmail.delivery.conversation import Conversation
    from pyqmail.delivery.hops import Hop
    from pyqmail.protocol.smtp.client import Answer


class Unopened(Exception):  # noqa: N818  the outcome says whether it is an error
    """There is no connection; `outcome` says why. None: nobody answered, or nobody was asked."""

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class TurnedAway(Unopened):
    """The host has said that it takes no connection for now; it may have too many."""

    outcome: Outcome


class TlsFailed(Exception):  # noqa: N818  where TLS only may be, it is no error
    """TLS was begun and came to nothing; the connection is of no use any more."""

    def __init__(self, reason: bytes) -> None:
        super().__init__(reason)
        self.reason = reason


class Introduction:
    """Makes a session ready for transactions with `partner`, the address of `hop` as text.

    Without a `context`, nothing is said of TLS.
    """

    def __init__(
        self, conversation: Conversation, partner: bytes, hop: Hop, context: ssl.SSLContext | None
    ) -> None:
        self._conversation = conversation
        self._session = conversation.session
        self._partner = partner
        self._hop = hop
        self._context = context

    async def make(self, *, tls_first: bool) -> None:
        """Get as far as to the first transaction.

        Raises Unopened, TlsFailed, OSError or MalformedReply.
        """
        secured = False
        if tls_first and self._context is not None:
            await self._shake_hands(self._context)
            secured = True
        await self._hear(b" but greeting failed")
        await self._hear(b" but my name was rejected")
        if self._context is not None and not secured:
            await self._secure(self._context)
        if self._hop.login is not None:
            await self._log_in()

    async def _hear(self, words: bytes) -> None:
        """Hear an answer that must accept."""
        answer = await self._conversation.answer()
        if answer.verdict is Verdict.TRANSIENT:
            raise TurnedAway(self._refusal(words, answer))
        if not answer.accepted:
            raise self._refused(words, answer)

    async def _secure(self, context: ssl.SSLContext) -> None:
        if b"STARTTLS" not in self._session.extensions:
            self._require_no_tls(b" " + NO_TLS_OFFERED, None)
            return
        self._session.ask_for_tls()
        try:
            answer = await self._conversation.answer()
            if not answer.accepted:
                self._require_no_tls(b" but it refused TLS", answer)
                return
            await self._shake_hands(context)
            self._session.secured()
            # With TLS 1.3, a server that dislikes our certificate says so only now.
            await self._hear(b" but my name was rejected")
        except (OSError, MalformedReply) as error:
            raise TlsFailed(_reason(error)) from error
        except Unopened as error:
            if self._hop.security.demanded:
                raise
            raise TlsFailed(b"my name was rejected") from error

    def _require_no_tls(self, words: bytes, answer: Answer | None) -> None:
        if self._hop.security.demanded:
            raise self._refused(words, answer)
        if answer is not None and self._session.closing:
            raise TlsFailed(b"the host went away")

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        """Speak TLS, with whom we meant to speak. Raises TlsFailed."""
        name = self._hop.name.decode("ascii", "replace")
        try:
            certificate = await self._conversation.speak_tls(context, _indicated(name))
        except (OSError, ValueError) as error:  # the latter for a name that cannot be one
            raise TlsFailed(_reason(error)) from error
        if self._hop.security.policy is Policy.VERIFY:
            names = [each.encode("ascii", "replace") for each in certified_names(certificate)]
            if not is_named(names, self._hop.security.names):
                shown = b", ".join(self._hop.security.names)
                raise TlsFailed(b"the certificate is not for " + shown)

    async def _log_in(self) -> None:
        login = self._hop.login
        assert login is not None, "the caller has looked"
        mechanisms = self._session.extensions.get(b"AUTH", b"").upper().split()
        exchange = choose_exchange(mechanisms, login.name, login.password)
        if exchange is None:
            raise self._refused(b" " + NO_MECHANISM, None)
        self._session.authenticate(exchange)
        answer = await self._conversation.answer()
        if not answer.accepted or not exchange.satisfied:
            raise self._refused(b" but my login failed", answer)

    def _refused(self, words: bytes, answer: Answer | None) -> Unopened:
        return Unopened(self._refusal(words, answer))

    def _refusal(self, words: bytes, answer: Answer | None) -> Outcome:
        report = b"ZConnected to " + self._partner + words
        report += b".\n" if answer is None else b".\n" + quoted(answer.reply.text)
        return Outcome([], report, elsewhere=True)


def _indicated(name: str) -> str | None:
    """Return the name for the handshake (RFC 6066 §3); None where there is none."""
    plain = name.strip("[]").removeprefix("IPv6:")
    return plain if plain and plain.isascii() and not plain.startswith(".") else None


def _reason(error: Exception) -> bytes:
    """Return what went wrong, in words that are fit for a line of a report."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = error.verify_message
    elif isinstance(error, ssl.SSLError):
        text = (error.reason or "broken off").replace("_", " ").lower()
    elif isinstance(error, TimeoutError):
        text = "timed out"
    elif isinstance(error, ValueError):
        text = "the name is none"
    elif isinstance(error, MalformedReply):
        text = "something was said that was not asked for"
    else:
        text = "connection died"
    return text.encode("ascii", "replace")
