"""A local message is made proper: the work of qmail-inject, without input or output.

Fields with addresses are completed, recipients are collected from them, and
fields that the message lacks are made. A message with a Resent field is
resent: recipients are then those of the Resent fields, and new fields are
Resent fields.

Hand an Injection the options, recipients and fields in the order of the
command line and the message; then ask for its `header()`, `reverse_path` and
`recipients()`.
"""

from __future__ import annotations

from itertools import chain

from pyqmail.errors import PermanentFailure
from pyqmail.message.address import quote_address
from pyqmail.message.date import rfc822_date, stamp
from pyqmail.message.envelope import VERP_SUFFIX, PackedPaths
from pyqmail.message.header import field_name
from pyqmail.message.rewriting import rewrite_list
from pyqmail.message.tokens import FieldSyntaxError, bare_address, print_tokens, tokenise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from pyqmail.control.maps import ConstantMap
    from pyqmail.message.rewriting import Complete, Completion
    from pyqmail.reception.author import Author

_AUTHORS: Final = frozenset(
    (
        *(b"sender", b"from", b"reply-to", b"return-receipt-to", b"errors-to"),
        *(b"resent-sender", b"resent-from", b"resent-reply-to"),
    )
)
_RECIPIENTS: Final = frozenset((b"to", b"cc", b"bcc", b"apparently-to"))
_RESENT_RECIPIENTS: Final = frozenset((b"resent-to", b"resent-cc", b"resent-bcc"))
_FOLLOWED_UP: Final = frozenset((b"to", b"cc"))
_SIGNS_OF_RESENDING: Final = _RESENT_RECIPIENTS | {
    *(b"resent-sender", b"resent-from", b"resent-reply-to"),
    *(b"resent-date", b"resent-message-id"),
}
_NOT_SENT_ON: Final = frozenset((b"bcc", b"resent-bcc", b"return-path", b"content-length"))
# Fields whose presence means something; other names need not be remembered.
_NOTED: Final = (
    _SIGNS_OF_RESENDING | _RECIPIENTS | {b"date", b"message-id", b"from", b"mail-followup-to"}
)
_PIECE: Final = 65536  # bytes of the header section given out at once
# A letter of QMAILINJECT, and the field that it has deleted.
_DELETIONS: Final = {b"s": b"return-path", b"f": b"from", b"i": b"message-id"}


class UnparsableLine(PermanentFailure):
    """A field, an option or a control file in which an address is malformed."""

    def __init__(self, line: bytes) -> None:
        super().__init__(b"unable to parse this line:\n" + line)


def parse(line: bytes) -> str:
    """Return the tokens of `line`; raise UnparsableLine."""
    try:
        return tokenise(line)
    except FieldSyntaxError as error:
        raise UnparsableLine(line) from error


class Injection:
    """One message on its way from a local program into the queue.

    `letters` is the value of QMAILINJECT. `lists` has the addresses of mailing
    lists that the author reads: a message to one of them gets a
    Mail-Followup-To field. `reverse_path` is None until an option, a field or
    `choose_reverse_path()` has set it.

    A header section may be large: of fields and recipients only their bytes
    are kept, and what is printed comes in pieces.
    """

    def __init__(
        self, completion: Completion, author: Author, letters: bytes, lists: ConstantMap
    ) -> None:
        self.reverse_path: bytes | None = None
        self._completion = completion
        self._author = author
        self._letters = letters
        self._lists = lists
        self._deleted = {name for letter, name in _DELETIONS.items() if letter in letters}
        self._seen: set[bytes] = set()
        self._kept = bytearray()
        self._argument_recipients: list[bytes] = []
        self._header_recipients = PackedPaths()
        self._resent_recipients = PackedPaths()
        self._followed_up = PackedPaths()

    @property
    def is_resent(self) -> bool:
        """Has the message a Resent field?"""
        return not self._seen.isdisjoint(_SIGNS_OF_RESENDING)

    def set_reverse_path(self, address: bytes) -> None:
        """Take the bare `address` of the option -f."""
        quoted = quote_address(address)
        self.reverse_path = bare_address(self._completion.complete(parse(quoted)))

    def add_recipient(self, address: bytes) -> None:
        """Take the bare `address` of an argument."""
        try:
            tokens = tokenise(quote_address(address))
        except FieldSyntaxError as error:
            raise PermanentFailure(b"unable to parse address: " + address) from error
        self._argument_recipients.append(bare_address(self._completion.complete(tokens)))

    def add_field(self, field: bytes) -> None:
        """Take the next field of the header section."""
        name = field_name(field)
        if name in self._deleted:
            return
        if name in _NOTED:
            self._seen.add(name)
        pieces = self._completed(name, field)
        if name not in _NOT_SENT_ON:
            for piece in pieces:
                self._kept += piece

    def _completed(self, name: bytes, field: bytes) -> Iterable[bytes]:
        """Return `field` with complete addresses, and collect them where `name` says so."""
        if name in _AUTHORS:
            return _rewrite_or_refuse(field, self._completion.complete)
        if name == b"return-path":
            return _rewrite_or_refuse(field, self._take_reverse_path)
        collections = self._collections_of(name)
        if not collections:
            return (field,)

        def take_recipient(address: str) -> str:
            address = self._completion.complete(address)
            bare = bare_address(address)
            for collection in collections:
                collection.append(bare)
            return address

        try:
            return _rewrite(field, take_recipient)
        except FieldSyntaxError:
            # Old mail programs write such fields beside -a and good arguments. The field
            # stays as it is; recipients to the right of the error have been taken.
            return (field,)

    def _collections_of(self, name: bytes) -> list[PackedPaths]:
        if name in _RESENT_RECIPIENTS:
            return [self._resent_recipients]
        if name in _FOLLOWED_UP and self._lists:
            return [self._header_recipients, self._followed_up]
        return [self._header_recipients] if name in _RECIPIENTS else []

    def _take_reverse_path(self, address: str) -> str:
        address = self._completion.complete(address)
        if self.reverse_path is None:
            self.reverse_path = bare_address(address)
            if b"r" in self._letters:
                self.reverse_path += VERP_SUFFIX
        return address

    def choose_reverse_path(self, now: int, pid: int) -> bytes:
        """Return the reverse path: as it was set, else that of the author."""
        if self.reverse_path is None:
            suffix = b"-%d.%d" % (now, pid) if b"m" in self._letters else b""
            suffix += b"-" if b"r" in self._letters else b""
            field = _printed(self._author.return_path_field(suffix))
            _rewrite_or_refuse(field, self._take_reverse_path)
        assert self.reverse_path is not None, "the author's field has an address"
        return self.reverse_path

    def recipients(self, *, of_header: bool) -> Iterator[bytes]:
        """Yield the forward paths of the arguments, then those of the header if they count."""
        yield from self._argument_recipients
        if of_header:
            yield from self._resent_recipients if self.is_resent else self._header_recipients

    def header(self, now: int, pid: int, id_host: bytes) -> Iterator[bytes]:
        """Return the header section in pieces: new fields, then those that came and are kept."""
        starts = range(0, len(self._kept), _PIECE)
        kept = (bytes(self._kept[start : start + _PIECE]) for start in starts)
        return chain(self._new_fields(now, pid, id_host), kept)

    def _new_fields(self, now: int, pid: int, id_host: bytes) -> list[bytes]:
        prefix = b"Resent-" if self.is_resent else b""
        fields = []
        if self._lacks(prefix + b"Date"):
            fields.append(prefix + b"Date: %b\n" % rfc822_date(now))
        if self._lacks(prefix + b"Message-ID"):
            identifier = b"%b.%d.qmail@%b" % (stamp(now), pid, id_host)
            fields.append(prefix + b"Message-ID: <%b>\n" % identifier)
        if self._lacks(prefix + b"From"):
            fields.append(prefix + self._from_field())
        if self._lacks(prefix + b"To") and self._lacks(prefix + b"Cc"):
            fields.append(prefix + b"Cc: recipient list not shown: ;\n")
        if not prefix:
            fields.append(self._followup_field())
        return fields

    def _lacks(self, name: bytes) -> bool:
        return name.lower() not in self._seen

    def _from_field(self) -> bytes:
        tokens = self._author.from_field(name_as_comment=b"c" in self._letters)
        return b"".join(_rewrite_or_refuse(_printed(tokens), self._completion.complete))

    def _followup_field(self) -> bytes:
        if not self._lacks(b"Mail-Followup-To"):
            return b""
        if not any(address in self._lists for address in self._followed_up):
            return b""
        addresses = [quote_address(address) for address in self._followed_up]
        return b"Mail-Followup-To: " + b",\n  ".join(reversed(addresses)) + b"\n"


def _rewrite_or_refuse(field: bytes, complete: Complete) -> Iterator[bytes]:
    try:
        return _rewrite(field, complete)
    except FieldSyntaxError as error:
        raise UnparsableLine(field) from error


def _rewrite(field: bytes, complete: Complete) -> Iterator[bytes]:
    """Rewrite the address list of `field`, and yield the printed pieces."""
    name, _, text = field.partition(b":")
    addresses = rewrite_list(tokenise(text), complete)
    return print_tokens(chain((name.rstrip().decode("ascii") + " :",), addresses))


def _printed(tokens: str) -> bytes:
    return b"".join(print_tokens((tokens,)))
