"""The server side of POP3 (RFC 1939), without I/O: commands, maildrop, messages as they are sent.

Texts and oddities are those of qmail-popup(8) and qmail-pop3d(8): a line ends with LF, whether
CR stands before it or not, for nothing here could be smuggled.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

OK: Final = b"+OK \r\n"  # the space is the original's

# Bytes of a command. RFC 2449 §4 wants 255; passwords that are tokens need more.
MAX_LINE: Final = 12288
LINE_TOO_LONG: Final = b"line too long"

_MAX_DIGITS: Final = 19  # more are no number of a message, and too much for int()


def error(text: bytes) -> bytes:
    """Return the reply that refuses something."""
    return b"-ERR " + text + b"\r\n"


class Command:
    """One command: the verb in lower case, and its argument without the blanks before it."""

    __slots__ = ("argument", "verb")

    def __init__(self, verb: bytes, argument: bytes) -> None:
        self.verb = verb
        self.argument = argument


def parse_command(line: bytes) -> Command:
    """Understand a line that ends with LF. A NUL ends it early, as in the original."""
    text = line.removesuffix(b"\n").removesuffix(b"\r").partition(b"\0")[0]
    verb, _, argument = text.partition(b" ")
    return Command(verb.lower(), argument.lstrip(b" "))


class CommandReader:
    """Takes commands out of bytes that arrive in any pieces.

    Of a line that is too long it keeps little.
    """

    __slots__ = ("_received", "_too_long")

    def __init__(self) -> None:
        self._received = b""
        self._too_long = False

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._received += data

    def next_command(self) -> Command | None:
        """Return the next command, or None if more bytes are needed.

        Raises ValueError once for each line that is too long.
        """
        line, line_end, rest = self._received.partition(b"\n")
        if not line_end:
            if len(line) > MAX_LINE:
                self._too_long, self._received = True, b""
            return None
        self._received = rest
        if self._too_long or len(line) > MAX_LINE:
            self._too_long = False
            raise ValueError(LINE_TOO_LONG.decode())
        return parse_command(line)


def _leading_number(text: bytes) -> tuple[int | None, bytes]:
    """Return the number that `text` begins with, and the rest."""
    rest = text.lstrip(b"0123456789")
    digits = text[: len(text) - len(rest)]
    if not digits:
        return None, rest
    digits = digits.lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS, rest


class Refused(Exception):  # noqa: N818  it is what POP3 calls a negative reply
    """A command cannot be obeyed; `reply` says why."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.reply = error(text)


class Maildrop:
    """The messages of one session, which never change; only which are deleted does.

    Messages count from 0 here, and from 1 in replies.
    """

    def __init__(self, sizes: Sequence[int], uids: Sequence[bytes]) -> None:
        self._sizes = sizes
        self._uids = uids
        self._last = 0
        self.deleted: set[int] = set()

    def stat(self) -> bytes:
        """Answer STAT: deleted messages count, their bytes do not."""
        size = sum(self._sizes) - sum(self._sizes[index] for index in self.deleted)
        return b"+OK %d %d\r\n" % (len(self._sizes), size)

    def last(self) -> bytes:
        """Answer LAST: the highest message that was ever deleted."""
        return b"+OK %d\r\n" % self._last

    def list(self, argument: bytes) -> bytes:
        """Answer LIST. Raises Refused."""
        return self._listing(argument, [b"%d" % size for size in self._sizes])

    def uidl(self, argument: bytes) -> bytes:
        """Answer UIDL. Raises Refused."""
        return self._listing(argument, self._uids)

    def delete(self, argument: bytes) -> bytes:
        """Obey DELE. Raises Refused."""
        index = self._index(argument)
        self.deleted.add(index)
        self._last = max(self._last, index + 1)
        return OK

    def reset(self) -> bytes:
        """Obey RSET."""
        self.deleted.clear()
        self._last = 0
        return OK

    def wanted(self, argument: bytes) -> tuple[int, int | None]:
        """Return which message RETR or TOP wants, and how many lines of its body; None: all.

        Raises Refused.
        """
        index = self._index(argument)
        rest = _leading_number(argument)[1]
        return index, _leading_number(rest.lstrip(b" "))[0]

    def _listing(self, argument: bytes, texts: Sequence[bytes]) -> bytes:
        if argument:
            index = self._index(argument)
            return b"+OK %d %b\r\n" % (index + 1, texts[index])
        lines = [
            b"%d %b\r\n" % (index + 1, text)
            for index, text in enumerate(texts)
            if index not in self.deleted
        ]
        return b"".join([OK, *lines, b".\r\n"])

    def _index(self, argument: bytes) -> int:
        number, _ = _leading_number(argument)
        if number is None:
            raise Refused(b"syntax error")
        if number == 0:
            raise Refused(b"messages are counted from 1")
        if number > len(self._sizes):
            raise Refused(b"not that many messages")
        if number - 1 in self.deleted:
            raise Refused(b"already deleted")
        return number - 1


class MessageEncoder:
    """Turns a message with LF lines into what a client gets, piece by piece.

    `feed()` what was read until `finished`, then send `end()`. With `lines`, only
    the header section and so many lines of the body are passed on.
    """

    __slots__ = ("_after_line", "_body_lines", "_empty_line", "finished")

    def __init__(self, lines: int | None = None) -> None:
        self._body_lines = lines
        self._after_line = True  # does a line begin here?
        self._empty_line = lines is not None  # is the end of the header section still to come?
        self.finished = False

    def feed(self, data: bytes) -> bytes:
        """Return what to send for the next bytes of the message."""
        if self._body_lines is not None:
            data = self._cut(data)
        if not data:
            return b""
        text = data.replace(b"\n.", b"\n..")
        if self._after_line and text.startswith(b"."):
            text = b"." + text
        self._after_line = data.endswith(b"\n")
        return text.replace(b"\n", b"\r\n")

    def end(self) -> bytes:
        """Return what ends the message: also an empty line that old clients wait for."""
        return (b"" if self._after_line else b"\r\n") + b"\r\n.\r\n"

    def _cut(self, data: bytes) -> bytes:
        """Return the part of `data` that is wanted."""
        assert self._body_lines is not None
        position = 0
        if self._empty_line:
            start = self._end_of_header(data)
            if start is None:
                return data
            self._empty_line, position = False, start
        while self._body_lines:
            end = data.find(b"\n", position)
            if end < 0:
                return data
            position = end + 1
            self._body_lines -= 1
        self.finished = True
        return data[:position]

    def _end_of_header(self, data: bytes) -> int | None:
        if self._after_line and data.startswith(b"\n"):
            return 1
        end = data.find(b"\n\n")
        return None if end < 0 else end + 2
