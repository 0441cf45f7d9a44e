"""The server side of POP3 (RFC 1939), without I/O: commands, maildrop, messages as they are sent.

Texts and oddities are those of qmail-popup(8) and qmail-pop3d(8): a line ends with LF, whether
CR stands before it or not, for nothing here could be smuggled.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

OK: Final = b"+OK \r\n"  # the space is the original's

# Bytes of a command. RFC 2449 §4 wants 255; passwords that are tokens need more.
MAX_LINE: Final = 12288
EMPTY_LINE: Final = b"\r\n"  # after each message; old clients wait for it
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

    def take_rest(self) -> bytes:
        """Return what has come and was not taken; it is no longer here."""
        rest, self._received = self._received, b""
        return rest

    def next_command(self) -> Command | None:
        """Return the next command, or None if more bytes are needed.

        Raises ValueError once for each line that is too long.
        """
        line = self.next_line()
        return None if line is None else parse_command(line)

    def next_line(self) -> bytes | None:
        """Return the next line as it is, with its LF. Raises as next_command() does."""
        line, line_end, rest = self._received.partition(b"\n")
        if not line_end:
            if len(line) > MAX_LINE:
                self._too_long, self._received = True, b""
            return None
        self._received = rest
        if self._too_long or len(line) > MAX_LINE:
            self._too_long = False
            raise ValueError(LINE_TOO_LONG.decode())
        return line + line_end


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

    Messages count from 0 here, and from 1 in replies. `measure` is asked for the size of
    a message once, and not before somebody wants to know. STAT counts
    deleted messages if `counts_deleted`, as in the original, though not their bytes.
    """

    def __init__(
        self,
        uids: Sequence[bytes],
        measure: Callable[[int], int],
        *,
        counts_deleted: bool = True,
    ) -> None:
        self._uids = uids
        self._measure = measure
        self._counts_deleted = counts_deleted
        self._sizes: dict[int, int] = {}
        self._last = 0
        self.deleted: set[int] = set()

    def stat(self) -> bytes:
        """Answer STAT."""
        count = len(self._uids) - (0 if self._counts_deleted else len(self.deleted))
        return b"+OK %d %d\r\n" % (count, sum(self._size(index) for index in self._present()))

    def last(self) -> bytes:
        """Answer LAST: the highest message that was ever deleted."""
        return b"+OK %d\r\n" % self._last

    def list(self, argument: bytes) -> bytes:
        """Answer LIST. Raises Refused."""
        return self._listing(argument, lambda index: b"%d" % self._size(index))

    def uidl(self, argument: bytes) -> bytes:
        """Answer UIDL. Raises Refused."""
        return self._listing(argument, self._uids.__getitem__)

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

    def _listing(self, argument: bytes, text: Callable[[int], bytes]) -> bytes:
        if argument:
            index = self._index(argument)
            return b"+OK %d %b\r\n" % (index + 1, text(index))
        lines = [b"%d %b\r\n" % (index + 1, text(index)) for index in self._present()]
        return b"".join([OK, *lines, b".\r\n"])

    def _present(self) -> Sequence[int]:
        return [index for index in range(len(self._uids)) if index not in self.deleted]

    def _size(self, index: int) -> int:
        size = self._sizes.get(index)
        if size is None:
            size = self._sizes[index] = self._measure(index)
        return size

    def _index(self, argument: bytes) -> int:
        number, _ = _leading_number(argument)
        if number is None:
            raise Refused(b"syntax error")
        if number == 0:
            raise Refused(b"messages are counted from 1")
        if number > len(self._uids):
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
        return (b"" if self._after_line else b"\r\n") + EMPTY_LINE + b".\r\n"

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


class WireSize:
    """Counts what a client receives of a message, dots that are taken off again left out.

    It is what MessageEncoder sends: a CR before each LF, the end of an
    unfinished line, and the empty line after all.
    """

    __slots__ = ("_ends_line", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._ends_line = True

    def feed(self, data: bytes) -> None:
        """Count the next bytes of the message; there are some."""
        self._size += len(data) + data.count(b"\n")
        self._ends_line = data.endswith(b"\n")

    def total(self) -> int:
        """Return the size of all."""
        return self._size + len(EMPTY_LINE) * (1 if self._ends_line else 2)

    def of_lines(self, size: int) -> int:
        """Return the size of a message of finished lines, which are so long with CRLF."""
        return size + len(EMPTY_LINE)
