"""Whom a delivery is for, and the variables that its programs see; qmail-command(8)."""

from __future__ import annotations

from pyqmail.message.trace import delivered_to_line, mbox_from_line, return_path_line


class Recipient:
    """Whom a delivery is for: the arguments of qmail-local."""

    __slots__ = ("dash", "default", "domain", "ext", "home", "local", "reverse_path", "user")

    def __init__(  # noqa: PLR0913, PLR0917  the eight arguments of qmail-local
        self,
        user: bytes,
        home: bytes,
        local: bytes,
        dash: bytes,
        ext: bytes,
        domain: bytes,
        reverse_path: bytes,
        default: bytes,
    ) -> None:
        self.user = user
        self.home = home
        self.local = local
        self.dash = dash
        self.ext = ext
        self.domain = domain
        self.reverse_path = reverse_path
        self.default = default  # instructions for who has no .qmail file

    @property
    def arguments(self) -> list[bytes]:
        """Return the arguments of the qmail-local that delivers to this recipient."""
        return [
            self.user,
            self.home,
            self.local,
            self.dash,
            self.ext,
            self.domain,
            self.reverse_path,
            self.default,
        ]


def environment_of(recipient: Recipient, now: int) -> dict[bytes, bytes]:
    """Return the variables that every delivery to `recipient` sets; qmail-command(8)."""
    ext2, ext3, ext4 = _after_dashes(recipient.ext)
    host2, host3, host4 = _before_dots(recipient.domain)
    return {
        b"HOST": recipient.domain,
        b"HOME": recipient.home,
        b"USER": recipient.user,
        b"LOCAL": recipient.local,
        b"RECIPIENT": recipient.local + b"@" + recipient.domain,
        b"DTLINE": delivered_to_line(recipient.local, recipient.domain),
        b"SENDER": recipient.reverse_path,
        b"RPLINE": return_path_line(recipient.reverse_path),
        b"UFLINE": mbox_from_line(recipient.reverse_path, now),
        b"EXT": recipient.ext,
        b"EXT2": ext2,
        b"EXT3": ext3,
        b"EXT4": ext4,
        b"HOST2": host2,
        b"HOST3": host3,
        b"HOST4": host4,
    }


def _after_dashes(ext: bytes) -> tuple[bytes, bytes, bytes]:
    second = ext.partition(b"-")[2]
    third = second.partition(b"-")[2]
    return second, third, third.partition(b"-")[2]


def _before_dots(domain: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the domain without its last, its last two and its last three parts."""
    # rsplit() and not rpartition(): a domain without a dot stays as it is.
    second = domain.rsplit(b".", 1)[0]
    third = second.rsplit(b".", 1)[0]
    return second, third, third.rsplit(b".", 1)[0]
