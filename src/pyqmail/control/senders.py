"""Which reverse paths an authenticated user may give: control/authsenders; qmail-smtpd(8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pyqmail.control.files import ControlError, read_list
from pyqmail.message.address import split_address

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SenderTable:
    """Lines `login:address` and `login:@domain`; of one login there may be many."""

    allowed: Mapping[bytes, frozenset[bytes]]

    @classmethod
    def read(cls, home: str) -> Self | None:
        """Read control/authsenders; None if there is none. Raises ControlError."""
        entries = read_list(home, "authsenders")
        if entries is None:
            return None
        allowed: dict[bytes, frozenset[bytes]] = {}
        for entry in entries:
            login, colon, address = entry.lower().partition(b":")
            if not colon or not login or not address:
                wrong = b"no login:address: " + entry[:60]
                raise ControlError("control/authsenders", None, wrong)
            allowed[login] = allowed.get(login, frozenset()) | {address}
        return cls(allowed)

    def allows(self, login: bytes, reverse_path: bytes) -> bool:
        """May `login` send as `reverse_path`?

        As nobody, always: a null reverse path is what a receipt has. As himself, too.
        """
        path = reverse_path.lower()
        if path in (b"", login.lower()):
            return True
        own = self.allowed.get(login.lower(), frozenset())
        domain = split_address(path)[1]
        return path in own or (domain is not None and b"@" + domain in own)
