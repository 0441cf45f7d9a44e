"""What the administrator says about mail from the network: control files, read once a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pyqmail.control.files import ControlError, read_integer, read_line
from pyqmail.reception.relaying import AddressList, RelayDomains

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TIMEOUT: Final = 1200  # seconds; qmail-smtpd(8)
_MAX_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """The control files of qmail-smtpd(8). `max_size` is None where there is no limit."""

    greeting: bytes
    local_host: bytes | None
    timeout: int
    domains: RelayDomains
    bad_senders: AddressList
    bad_recipients: AddressList
    max_size: int | None

    @classmethod
    def read(cls, home: str, environ: Mapping[bytes, bytes]) -> Self:
        """Read them; DATABYTES in `environ` comes before databytes. Raises ControlError."""
        me = read_line(home, "me")
        greeting = read_line(home, "smtpgreeting")
        local_host = read_line(home, "localiphost")
        greeting = me if greeting is None else greeting
        if greeting is None:
            raise ControlError("control/me", None, b"absent, and control/smtpgreeting too")
        return cls(
            greeting=greeting,
            local_host=me if local_host is None else local_host,
            timeout=max(1, read_integer(home, "timeoutsmtpd", DEFAULT_TIMEOUT)),
            domains=RelayDomains.read(home),
            bad_senders=AddressList.read(home, "badmailfrom"),
            bad_recipients=AddressList.read(home, "badrcptto"),
            max_size=read_max_size(home, environ),
        )


def read_max_size(home: str, environ: Mapping[bytes, bytes]) -> int | None:
    """Return the most bytes that a message may have, or None if there is no limit.

    As in the original, DATABYTES counts as far as it consists of digits, and
    without any it means no limit. Raises ControlError.
    """
    limit = read_integer(home, "databytes", 0)
    text = environ.get(b"DATABYTES")
    if text is not None:
        digits = text[: len(text) - len(text.lstrip(b"0123456789"))]
        limit = int(digits[:_MAX_DIGITS] or b"0")
    return limit or None
