"""One mail transaction: who sends what to whom, and whether that is taken; qmail-smtpd(8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyqmail.errors import Failure
from pyqmail.message.wishes import RecipientWishes, WishError, Wishes
from pyqmail.protocol.smtp.reply import OK, SYNTAX_ERROR, Reply, reply
from pyqmail.reception.relaying import replace_own_literal
from pyqmail.reception.replies import (
    AUTH_FIRST,
    BAD_RECIPIENT,
    BAD_SENDER,
    CANNOT_CHECK,
    NO_RELAYING,
    NO_SUCH_MAILBOX,
    NOT_UTF8,
    NOT_YOUR_SENDER,
    TOO_LARGE,
    TOO_MANY_RECIPIENTS,
)
from pyqmail.system.interfaces import local_addresses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pyqmail.protocol.smtp.events import Mail, Recipient
    from pyqmail.reception.settings import Settings

    # Says no only if it knows; raises TransientFailure if it should know and cannot.
    RecipientCheck = Callable[[bytes], Awaitable[bool]]

MAX_ADDRESS: Final = 899  # bytes; the original takes no more

# Parameters of MAIL that ask for a promise. Ignoring them would break it.
REQUIRETLS: Final = b"REQUIRETLS"
SMTPUTF8: Final = b"SMTPUTF8"


class Transaction:
    """The envelope so far, and the rules for what comes next.

    `environ` are the client's variables, `login` is who it has proved to be,
    and `exists` is asked for each recipient that may be delivered here.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[bytes, bytes],
        *,
        login: bytes | None = None,
        exists: RecipientCheck | None = None,
        keeps_wishes: bool = False,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._login = login
        self._keeps_wishes = keeps_wishes
        self._exists = exists if settings.check_recipients else None
        self.reverse_path = b""
        self.forward_paths: list[bytes] = []
        self.internationalized = False
        self.wishes = Wishes()
        self.attempts = 0  # recipients that were tried, for the tarpit

    def begin(self, mail: Mail) -> Reply:
        """Answer MAIL. Raises OSError if an address may be ours and nobody knows."""
        self.internationalized = SMTPUTF8 in mail.parameters
        reverse_path = self._complete(mail.reverse_path)
        refusal = (
            self._refusal_of_promise(mail)
            or self._refusal_of_address(reverse_path)
            or self._refusal_of_size(mail.size)
            or self._refusal_of_sender(reverse_path)
        )
        if refusal is not None:
            return refusal
        if self._keeps_wishes:
            try:
                self.wishes = Wishes.parse(mail.parameters)
            except WishError:
                return SYNTAX_ERROR
        self.reverse_path = reverse_path
        return OK

    async def add(self, recipient: Recipient) -> Reply:
        """Answer RCPT. Raises OSError as `begin()` does."""
        self.attempts += 1
        forward_path = self._complete(recipient.forward_path)
        refusal = self._refusal_of(forward_path)
        if refusal is not None:
            return refusal
        try:
            wishes = RecipientWishes.parse(recipient.parameters if self._keeps_wishes else {})
        except WishError:
            return SYNTAX_ERROR
        forward_path += self._environ.get(b"RELAYCLIENT", b"")
        refusal = await self._refusal_of_unknown(forward_path)
        if refusal is not None:
            return refusal
        if len(self.forward_paths) >= self._settings.limits.max_recipients:
            return TOO_MANY_RECIPIENTS
        self.forward_paths.append(forward_path)
        self.wishes.recipients[forward_path] = wishes
        return OK

    async def _refusal_of_unknown(self, forward_path: bytes) -> Reply | None:
        try:
            if self._exists is not None and not await self._exists(forward_path):
                return NO_SUCH_MAILBOX
        except Failure:
            return CANNOT_CHECK
        return None

    def _refusal_of_promise(self, mail: Mail) -> Reply | None:
        offered = (SMTPUTF8,) if self._settings.internationalized else ()
        for promise in (SMTPUTF8, REQUIRETLS):
            if promise in mail.parameters and promise not in offered:
                return reply(555, b"sorry, i don't offer " + promise + b" (#5.5.4)")
        return None

    def _refusal_of_address(self, address: bytes) -> Reply | None:
        if len(address) > MAX_ADDRESS:
            return SYNTAX_ERROR
        return NOT_UTF8 if self.internationalized and not _is_utf8(address) else None

    def _refusal_of_size(self, size: int | None) -> Reply | None:
        limit = self._settings.max_size
        return TOO_LARGE if limit is not None and (size or 0) > limit else None

    def _refusal_of_sender(self, reverse_path: bytes) -> Reply | None:
        trust, login = self._settings.trust, self._login
        if login is None:
            return AUTH_FIRST if trust.must_authenticate else None
        bound = trust.senders is not None and not trust.senders.allows(login, reverse_path)
        return NOT_YOUR_SENDER if bound else None

    def _refusal_of(self, forward_path: bytes) -> Reply | None:
        refusal = self._refusal_of_address(forward_path)
        if refusal is not None:
            return refusal
        if self.reverse_path in self._settings.bad_senders:
            return BAD_SENDER
        if forward_path in self._settings.bad_recipients:
            return BAD_RECIPIENT
        if b"RELAYCLIENT" not in self._environ and not self._settings.domains.take(forward_path):
            return NO_RELAYING
        return None

    def _complete(self, address: bytes) -> bytes:
        return replace_own_literal(address, self._settings.local_host, _is_ours)


def _is_ours(address: bytes) -> bool:
    return address in local_addresses()


def _is_utf8(address: bytes) -> bool:
    try:
        address.decode()
    except UnicodeDecodeError:
        return False
    return True
