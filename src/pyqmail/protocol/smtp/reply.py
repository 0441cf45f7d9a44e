"""What a server answers: a code and lines of text (RFC 5321 §4.2).

The texts here are those of the engine; they are the original's, to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_POSITIVE: Final = range(200, 400)
# Text may come from a program or a file; it must not become a reply of its own.
_ONE_LINE: Final = bytes.maketrans(b"\r\n\0", b"   ")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply; `lines` has at least one line, each without its CR LF."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def positive(self) -> bool:
        """Does it say that the command is taken, so that the session moves on?"""
        return self.code in _POSITIVE

    def to_wire(self) -> bytes:
        """Return the bytes for the client, the last line marked as last."""
        return _to_wire(self.code, self.lines)


@lru_cache(maxsize=256)  # most replies are the same again and again
def _to_wire(code: int, lines: tuple[bytes, ...]) -> bytes:
    *first, last = (line.translate(_ONE_LINE) for line in lines)
    before = b"".join(b"%d-%b\r\n" % (code, line) for line in first)
    return b"%b%d %b\r\n" % (before, code, last)


def reply(code: int, text: bytes) -> Reply:
    """Return a reply of one line."""
    return Reply(code, (text,))


OK: Final = reply(250, b"ok")
FLUSHED: Final = reply(250, b"flushed")
HELP: Final = reply(214, b"pyqmail: see qmail-smtpd(8)")
CANNOT_VERIFY: Final = reply(252, b"send some mail, i'll try my best")
UNIMPLEMENTED: Final = reply(502, b"unimplemented (#5.5.1)")
LINE_TOO_LONG: Final = reply(500, b"line too long (#5.5.2)")
SYNTAX_ERROR: Final = reply(555, b"syntax error (#5.5.4)")
MAIL_FIRST: Final = reply(503, b"MAIL first (#5.5.1)")
RCPT_FIRST: Final = reply(503, b"RCPT first (#5.5.1)")
GO_AHEAD: Final = reply(354, b"go ahead")
CHUNK_FIRST: Final = reply(503, b"BDAT or RSET first (#5.5.1)")
NOT_DURING_MAIL: Final = reply(503, b"not during mail transaction (#5.5.1)")
NO_AUTH_DURING_MAIL: Final = reply(503, b"no auth during mail transaction (#5.5.0)")
AUTH_CANCELLED: Final = reply(501, b"auth exchange cancelled (#5.0.0)")
AUTH_MALFORMED: Final = reply(501, b"malformed auth input (#5.5.4)")
TOO_MANY_ERRORS: Final = reply(421, b"too many errors (#4.7.0)")
BARE_LINE_FEED_IN_CHUNK: Final = reply(
    554, b"bare LF in message, see https://cr.yp.to/docs/smtplf.html (#5.6.0)"
)
BARE_LINE_FEED: Final = reply(451, b"See https://cr.yp.to/docs/smtplf.html.")
