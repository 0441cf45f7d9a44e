"""What a sender wants of those who carry his message: DSN (RFC 3461) and SMTPUTF8.

They travel with the envelope as additional records, which are written only
where something is wanted (qmail-envelope(5)): one about the message, and one
for each recipient that has wishes of its own. In a record, values are as they
came in SMTP; here they are decoded.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pyqmail.message.xtext import XtextError, decode_xtext

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_ENVELOPE_ID: Final = 100  # bytes of xtext; RFC 3461 §4.4
MAX_ORIGINAL: Final = 500  # bytes of xtext; RFC 3461 §4.2
NEVER: Final = b"NEVER"
FAILURE: Final = b"FAILURE"
SUCCESS: Final = b"SUCCESS"
DELAY: Final = b"DELAY"

_OCCASIONS: Final = frozenset({SUCCESS, FAILURE, DELAY})
_TYPE_BYTES: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"


class WishError(ValueError):
    """A parameter does not say what it should."""


@dataclass(frozen=True, slots=True)
class RecipientWishes:
    """NOTIFY and ORCPT of one recipient, in the form of the record; empty if not given."""

    notify: bytes = b""
    original: bytes = b""

    @classmethod
    def parse(cls, parameters: Mapping[bytes, bytes]) -> RecipientWishes:
        """Return what the parameters of RCPT say. Raises WishError."""
        wishes = cls(parameters.get(b"NOTIFY", b"").upper(), parameters.get(b"ORCPT", b""))
        occasions = frozenset(wishes.notify.split(b","))
        if b"NOTIFY" in parameters and occasions != {NEVER} and not occasions <= _OCCASIONS:
            raise WishError
        if b"ORCPT" in parameters:
            kind, semicolon, address = wishes.original.partition(b";")
            if not semicolon or not kind or kind.translate(None, _TYPE_BYTES):
                raise WishError
            _check_xtext(address, MAX_ORIGINAL)
        return wishes

    @property
    def hears_of_failure(self) -> bool:
        """Shall there be a bounce if it fails? Without NOTIFY, yes."""
        return not self.notify or self.hears_of(FAILURE)

    def hears_of(self, occasion: bytes) -> bool:
        """Does NOTIFY name SUCCESS, FAILURE or DELAY?"""
        return occasion in self.notify.split(b",")

    @property
    def original_recipient(self) -> bytes:
        """What `Original-Recipient` says: type, semicolon and address; empty if it is not known."""
        kind, semicolon, address = self.original.partition(b";")
        return kind + semicolon + decode_xtext(address)


_NOTHING: Final = RecipientWishes()


@dataclass(slots=True)
class Wishes:
    """What the sender of one message wants."""

    returns: bytes = b""  # FULL, HDRS, or nothing said
    envelope_id: bytes = b""  # xtext
    internationalized: bool = False  # SMTPUTF8 was said: the next host must know it, too
    recipients: dict[bytes, RecipientWishes] = field(default_factory=dict)

    @classmethod
    def parse(cls, parameters: Mapping[bytes, bytes]) -> Wishes:
        """Return what the parameters of MAIL say. Raises WishError."""
        returns, envelope_id = parameters.get(b"RET", b""), parameters.get(b"ENVID", b"")
        wishes = cls(returns.upper(), envelope_id, b"SMTPUTF8" in parameters)
        if b"RET" in parameters and wishes.returns not in (b"FULL", b"HDRS"):
            raise WishError
        _check_xtext(wishes.envelope_id, MAX_ENVELOPE_ID)
        return wishes

    @classmethod
    def of_records(cls, records: Iterable[bytes]) -> Wishes:
        """Return what additional records say; what is not understood says nothing."""
        wishes = cls()
        for record in records:
            words, to, address = record.partition(b"TO=")
            values = dict(word.split(b"=", 1) for word in words.split() if b"=" in word)
            with suppress(WishError):
                if to:
                    wishes.recipients[address] = RecipientWishes.parse(values)
                else:
                    wishes = replace(cls.parse(values), recipients=wishes.recipients)
        return wishes

    def records(self) -> Iterator[bytes]:
        """Yield additional records; none if nothing is wanted."""
        if about_message := self._about_message():
            yield about_message
        for address, wishes in self.recipients.items():
            if wishes != _NOTHING:
                words = _words(NOTIFY=wishes.notify, ORCPT=wishes.original)
                yield words + b"TO=" + address

    def words_for(self, address: bytes) -> bytes:
        """Return all that is wanted of a delivery to one recipient; empty if nothing is."""
        own = self.of(address)
        return (self._about_message() + _words(NOTIFY=own.notify, ORCPT=own.original)).rstrip()

    def of(self, address: bytes) -> RecipientWishes:
        """Return what is wanted for one recipient; he may have got a domain on his way."""
        own = self.recipients.get(address)
        return own or self.recipients.get(address.rpartition(b"@")[0], _NOTHING)

    def _about_message(self) -> bytes:
        return _words(
            RET=self.returns,
            ENVID=self.envelope_id,
            SMTPUTF8=b"yes" if self.internationalized else b"",
        )

    @property
    def notices(self) -> frozenset[bytes]:
        """SUCCESS and DELAY, as far as they are wanted for any recipient."""
        every = self.recipients.values()
        return frozenset(o for o in (SUCCESS, DELAY) if any(each.hears_of(o) for each in every))

    @property
    def returns_header_only(self) -> bool:
        """Shall a bounce hold the header section and no more?"""
        return self.returns == b"HDRS"

    @property
    def original_envelope_id(self) -> bytes:
        """What `Original-Envelope-Id` says."""
        return decode_xtext(self.envelope_id)


def parse_words(words: bytes) -> tuple[Wishes, RecipientWishes]:
    """Return what `Wishes.words_for()` says: of the message, and of its recipient.

    What is not understood says nothing.
    """
    values = dict(word.split(b"=", 1) for word in words.split() if b"=" in word)
    try:
        return Wishes.parse(values), RecipientWishes.parse(values)
    except WishError:
        return Wishes(), _NOTHING


def _words(**values: bytes) -> bytes:
    return b"".join(name.encode() + b"=" + value + b" " for name, value in values.items() if value)


def _check_xtext(text: bytes, limit: int) -> None:
    try:
        decode_xtext(text)
    except XtextError as error:
        raise WishError from error
    if len(text) > limit:
        raise WishError
