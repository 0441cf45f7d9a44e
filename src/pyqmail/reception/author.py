"""Who writes a local message: the user, as the environment tells it."""

from __future__ import annotations

from pyqmail.message.address import needs_quotes
from pyqmail.message.tokens import atom, comment, quoted_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def _first_set(environ: Mapping[bytes, bytes], *names: bytes) -> bytes | None:
    """Return the value of the first of `names` that is set, even if it is empty."""
    return next((environ[name] for name in names if name in environ), None)


class Author:
    """The user, host and personal name of the From field, and of the envelope."""

    __slots__ = ("host", "name", "reverse_host", "reverse_user", "user")

    def __init__(self, environ: Mapping[bytes, bytes]) -> None:
        user = _first_set(environ, b"QMAILUSER", b"MAILUSER", b"USER", b"LOGNAME")
        self.user = b"anonymous" if user is None else user
        self.host = _first_set(environ, b"QMAILHOST", b"MAILHOST")
        self.name = _first_set(environ, b"QMAILNAME", b"MAILNAME", b"NAME")
        self.reverse_user = environ.get(b"QMAILSUSER", self.user)
        self.reverse_host = environ.get(b"QMAILSHOST", self.host)

    def from_field(self, *, name_as_comment: bool) -> str:
        """Return the tokens of the From field: `"NAME" <user@host>`, or `user@host (NAME)`."""
        word = quoted_word if needs_quotes(self.user) else atom
        address = word(self.user) + _at_host(self.host)
        if self.name is None:
            return f"From : {address}"
        if name_as_comment:
            return f"From : {address} {comment(self.name)}"
        return f"From : {quoted_word(self.name)} < {address} >"

    def return_path_field(self, suffix: bytes) -> str:
        """Return the Return-Path field for the envelope, with `suffix` on its local part."""
        user = quoted_word(self.reverse_user + suffix)
        return f"Return-Path : {user}{_at_host(self.reverse_host)}"


def _at_host(host: bytes | None) -> str:
    return "" if host is None else "@" + atom(host)
