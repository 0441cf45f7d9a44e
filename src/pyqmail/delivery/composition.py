"""What MAIL and RCPT say to a host that has these extensions, and what it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyqmail.delivery.paths import (
    ascii_form,
    breaks_lines,
    international_form,
    is_international,
    wire_form,
)
from pyqmail.delivery.remote_texts import (
    LINE_BREAK_IN_RECIPIENT,
    Undeliverable,
    international_message,
    international_recipient,
    international_sender,
    too_large,
)
from pyqmail.message.wishes import SUCCESS, RecipientWishes, Wishes
from pyqmail.protocol.smtp.client import Path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyqmail.delivery.outgoing import OutgoingMessage

_MAX_DIGITS = 20  # of a SIZE; RFC 1870 §4


@dataclass(frozen=True, slots=True)
class Envelope:
    """Reverse-path and forward-paths, and what the sender wishes: of the message, and of each.

    There are as many recipients' wishes as recipients, or none.
    """

    reverse_path: bytes
    forward_paths: Sequence[bytes]
    wishes: Wishes = field(default_factory=Wishes)
    each: Sequence[RecipientWishes] = ()

    def wishes_for(self, index: int) -> RecipientWishes:
        """Return what is wanted for one recipient."""
        return self.each[index] if self.each else RecipientWishes()


@dataclass(frozen=True, slots=True)
class Composition:
    """A transaction for one host. Where a recipient cannot be sent, a report is in his place."""

    sender: Path
    recipients: Sequence[Path | bytes]
    passed_on: frozenset[int]  # recipients of whose success the host will tell

    @property
    def paths(self) -> list[Path]:
        """The recipients that are sent."""
        return [each for each in self.recipients if isinstance(each, Path)]


class Composer:
    """Composes transactions for the host `partner`, which has these extensions."""

    def __init__(self, partner: bytes, extensions: Mapping[bytes, bytes]) -> None:
        self._partner = partner
        self._extensions = extensions

    def compose(self, envelope: Envelope, message: OutgoingMessage) -> Composition:
        """Return the transaction. Raises Undeliverable."""
        indices = range(len(envelope.forward_paths))
        recipients = [self._recipient(envelope, index) for index in indices]
        sender = self._sender_path(envelope.reverse_path)
        parameters = self._about_message(envelope, message)
        addresses = (sender, *(each.address for each in recipients if isinstance(each, Path)))
        if any(map(is_international, addresses)) or self._has_international_header(
            envelope, message
        ):
            if b"SMTPUTF8" not in self._extensions:
                raise Undeliverable(international_message(self._partner))
            parameters += b" SMTPUTF8"
        passed_on = frozenset(
            index
            for index in indices
            if b"DSN" in self._extensions and envelope.wishes_for(index).hears_of(SUCCESS)
        )
        return Composition(Path(sender, parameters), recipients, passed_on)

    def _about_message(self, envelope: Envelope, message: OutgoingMessage) -> bytes:
        parameters = b""
        if b"SIZE" in self._extensions or b"8BITMIME" in self._extensions:
            facts = message.facts()
            if facts and b"SIZE" in self._extensions:
                self._require_room(facts.size)
                parameters += b" SIZE=%d" % facts.size
            if facts and facts.has_eight_bits and b"8BITMIME" in self._extensions:
                parameters += b" BODY=8BITMIME"
        if b"DSN" in self._extensions:
            wishes = envelope.wishes
            parameters += _parameters(RET=wishes.returns, ENVID=wishes.envelope_id)
        return parameters

    def _require_room(self, size: int) -> None:
        """Refuse what the host has said it will refuse (RFC 1870 §6.1)."""
        limit = self._extensions[b"SIZE"].strip()
        if limit.isdigit() and len(limit) <= _MAX_DIGITS and 0 < int(limit) < size:
            raise Undeliverable(too_large(self._partner, size, int(limit)))

    def _has_international_header(self, envelope: Envelope, message: OutgoingMessage) -> bool:
        # Without the sender's word, such a header is of no standard, and goes out as it is.
        if not envelope.wishes.internationalized:
            return False
        facts = message.facts()
        return facts is not None and facts.has_eight_bits_in_header

    def _sender_path(self, address: bytes) -> bytes:
        path = self._wire(address)
        if path is None:
            raise Undeliverable(international_sender(self._partner))
        return path

    def _recipient(self, envelope: Envelope, index: int) -> Path | bytes:
        address = envelope.forward_paths[index]
        if breaks_lines(address):
            return LINE_BREAK_IN_RECIPIENT
        path = self._wire(address)
        if path is None:
            return international_recipient(self._partner)
        if b"DSN" not in self._extensions:
            return Path(path)
        wishes = envelope.wishes_for(index)
        return Path(path, _parameters(NOTIFY=wishes.notify, ORCPT=wishes.original))

    def _wire(self, address: bytes) -> bytes | None:
        """Return the address as this host can be told; None if it cannot."""
        if not is_international(address):
            return wire_form(address)
        if b"SMTPUTF8" in self._extensions:
            return international_form(address)
        return ascii_form(address)


def _parameters(**values: bytes) -> bytes:
    given = (b" " + name.encode() + b"=" + value for name, value in values.items() if value)
    return b"".join(given)
