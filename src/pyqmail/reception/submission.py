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

from pyqmail.errors import PermanentFailure
from pyqmail.message.address import quote_address
from pyqmail.message.date import rfc822_date, stamp
from pyqmail.message.envelope import VERP_SUFFIX
from pyqmail.message.header import field_name
from pyqmail.message.rewriting import rewrite_list
from pyqmail.message.tokens import FieldSyntaxError, Token, bare_address, print_tokens, tokenise

TYPE_CHECKING = False
if TYPE_CHECKING:
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
# A letter of QMAILINJECT, and the field that it has deleted.
_DELETIONS: Final = {b"s": b"return-path", b"f": b"from", b"i": b"message-id"}


class UnparsableLine(PermanentFailure):
    """A field, an option or a control file in which an address is malformed."""

    def __init__(self, line: bytes) -> None:
        super().__init__(b"unable to parse this line:\n" + line)


def parse(line: bytes) -> list[Token]:
    """Return the tokens of `line`; raise UnparsableLine."""
    try:
        return tokenise(line)
    except FieldSyntaxError as error:
        raise UnparsableLine(line) from error


class Injection:
    """One message on its way from a local program into the queue.

    `letters` is the value of QMAILINJECT. `reverse_path` is None until an
    option, a field or `choose_reverse_path()` has set it.
    """

    def __init__(self, completion: Completion, author: Author, letters: bytes) -> None:
        self.reverse_path: bytes | None = None
        self._completion = completion
        self._author = author
        self._letters = letters
        self._deleted = {name for letter, name in _DELETIONS.items() if letter in letters}
        self._seen: set[bytes] = set()
        self._kept: list[bytes] = []
        self._argument_recipients: list[bytes] = []
        self._header_recipients: list[bytes] = []
        self._resent_recipients: list[bytes] = []
        self._followed_up: list[bytes] = []

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
        field = self._completed(name, field)
        if name not in _NOT_SENT_ON:
            self._kept.append(field)

    def _completed(self, name: bytes, field: bytes) -> bytes:
        """Return `field` with complete addresses, and collect them where `name` says so."""
        if name in _AUTHORS:
            return self._rewritten(field, self._completion.complete)
        if name == b"return-path":
            return self._rewritten(field, self._take_reverse_path)
        collections = self._collections_of(name)
        if not collections:
            return field

        def take_recipient(address: list[Token]) -> list[Token]:
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
            return field

    def _collections_of(self, name: bytes) -> list[list[bytes]]:
        if name in _RESENT_RECIPIENTS:
            return [self._resent_recipients]
        if name in _FOLLOWED_UP:
            return [self._header_recipients, self._followed_up]
        return [self._header_recipients] if name in _RECIPIENTS else []

    def _take_reverse_path(self, address: list[Token]) -> list[Token]:
        address = self._completion.complete(address)
        if self.reverse_path is None:
            self.reverse_path = bare_address(address)
            if b"r" in self._letters:
                self.reverse_path += VERP_SUFFIX
        return address

    def _rewritten(self, field: bytes, complete: Complete) -> bytes:
        try:
            return _rewrite(field, complete)
        except FieldSyntaxError as error:
            raise UnparsableLine(field) from error

    def choose_reverse_path(self, now: int, pid: int) -> bytes:
        """Return the reverse path: as it was set, else that of the author."""
        if self.reverse_path is None:
            suffix = b"-%d.%d" % (now, pid) if b"m" in self._letters else b""
            suffix += b"-" if b"r" in self._letters else b""
            field = print_tokens(self._author.return_path_field(suffix))
            self._rewritten(field, self._take_reverse_path)
        assert self.reverse_path is not None, "the author's field has an address"
        return self.reverse_path

    def recipients(self, *, of_header: bool) -> list[bytes]:
        """Return the forward paths of the arguments, then those of the header if they count."""
        if not of_header:
            return self._argument_recipients
        of_fields = self._resent_recipients if self.is_resent else self._header_recipients
        return self._argument_recipients + of_fields

    def header(self, now: int, pid: int, id_host: bytes, lists: ConstantMap) -> bytes:
        """Return the header section: new fields, then those that came and are kept.

        `lists` has the addresses of mailing lists that the author reads: a
        message to one of them gets a Mail-Followup-To field.
        """
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
            fields.append(self._followup_field(lists))
        return b"".join(fields + self._kept)

    def _lacks(self, name: bytes) -> bool:
        return name.lower() not in self._seen

    def _from_field(self) -> bytes:
        tokens = self._author.from_field(name_as_comment=b"c" in self._letters)
        return self._rewritten(print_tokens(tokens), self._completion.complete)

    def _followup_field(self, lists: ConstantMap) -> bytes:
        if not self._lacks(b"Mail-Followup-To"):
            return b""
        if not any(address in lists for address in self._followed_up):
            return b""
        addresses = (quote_address(before_nul(address)) for address in reversed(self._followed_up))
        return b"Mail-Followup-To: " + b",\n  ".join(addresses) + b"\n"


def before_nul(address: bytes) -> bytes:
    """Return what the envelope keeps of `address`: there, a NUL ends it."""
    return address.partition(b"\0")[0]


def _rewrite(field: bytes, complete: Complete) -> bytes:
    """Return `field` with its address list rewritten; the first two tokens are its name."""
    tokens = tokenise(field)
    return print_tokens(tokens[:2] + rewrite_list(tokens[2:], complete))
