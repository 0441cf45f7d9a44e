"""What a client may say: the commands, read as leniently as qmail-smtpd(8) reads them.

`MAIL`, `MAIL FROM` and `MAIL a@b` have always been understood, and parameters
that nobody knows have always been ignored; both stay. Refused is only what
cannot be carried further without breaking something.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Final

from pyqmail.message.xtext import XtextError, decode_xtext
from pyqmail.protocol.smtp.events import (
    Authenticate,
    Chunk,
    Command,
    Data,
    Hello,
    Introduce,
    Mail,
    Quit,
    Recipient,
    Reset,
    StartTls,
)
from pyqmail.protocol.smtp.reply import AUTH_MALFORMED, SYNTAX_ERROR, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SIZE_DIGITS: Final = 20  # RFC 1870 §4: size-value is 1*20DIGIT

_UNKNOWN: Final = (b"[UNAVAILABLE]", b"[TEMPUNAVAIL]")  # XCLIENT: there is no value

COMMANDS: Final[dict[bytes, type[Command]]] = {
    b"HELO": Hello,
    b"EHLO": Hello,
    b"MAIL": Mail,
    b"RCPT": Recipient,
    b"DATA": Data,
    b"BDAT": Chunk,
    b"STARTTLS": StartTls,
    b"AUTH": Authenticate,
    b"XCLIENT": Introduce,
    b"RSET": Reset,
    b"QUIT": Quit,
}


class CommandRefused(Exception):  # noqa: N818  RFC 5321 says refused
    """The command cannot be taken as it stands; `reply` says why."""

    def __init__(self, reason: Reply) -> None:
        super().__init__(reason)
        self.reply = reason


def split_command(line: bytes) -> tuple[bytes, bytes]:
    """Return verb, in capitals, and argument.

    Only a space ends the verb. A NUL ends the line, as in the original, whose
    strings it ends.
    """
    verb, _, argument = line.partition(b"\0")[0].partition(b" ")
    return verb.upper(), argument.lstrip(b" ")


def parse_arguments(verb: bytes, argument: bytes) -> Command:
    """Return the command `verb`, one of COMMANDS but BDAT. Raises CommandRefused."""
    parse = _PARSERS.get(verb)
    return parse(argument) if parse is not None else _WITHOUT_ARGUMENT[verb]


def parse_path(argument: bytes) -> tuple[bytes, bytes]:
    """Return the address in the argument of MAIL or RCPT, unquoted, and what follows it.

    It stands between `<` and `>`, or else after the first colon up to a space.
    A source route is dropped. RFC 5321 §4.1.2 wants more; nobody is asked to
    give it.
    """
    _, angle, text = argument.partition(b"<")
    terminator = b">" if angle else b" "
    if not angle:
        text = argument.partition(b":")[2].lstrip(b" ")
    if text.startswith(b"@"):
        text = text.partition(b":")[2]
    if b'"' in text or b"\\" in text:
        address, rest = _unquote(text, terminator)
    else:
        address, _, rest = text.partition(terminator)
    if b"\r" in address:
        # It would reach a header field and the wire, where some take it for
        # the end of a line.
        raise CommandRefused(SYNTAX_ERROR)
    return address, rest


def _unquote(text: bytes, terminator: bytes) -> tuple[bytes, bytes]:
    address = bytearray()
    quoted = escaped = False
    for position, byte in enumerate(text):
        if escaped:
            address.append(byte)
            escaped = False
        elif byte == terminator[0] and not quoted:
            return bytes(address), text[position + 1 :]
        elif byte == ord("\\"):
            escaped = True
        elif byte == ord('"'):
            quoted = not quoted
        else:
            address.append(byte)
    return bytes(address), b""


def decode_base64(text: bytes) -> bytes:
    """Return what `text` stands for. Raises CommandRefused."""
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise CommandRefused(AUTH_MALFORMED) from error


def _parse_hello(argument: bytes) -> Hello:
    return Hello(argument, extended=False)


def _parse_extended_hello(argument: bytes) -> Hello:
    return Hello(argument, extended=True)


def _parse_recipient(argument: bytes) -> Recipient:
    forward_path, rest = parse_path(argument)
    return Recipient(forward_path, _parse_parameters(rest))


def _parse_mail(argument: bytes) -> Mail:
    reverse_path, rest = parse_path(argument)
    parameters = _parse_parameters(rest)
    size = parameters.get(b"SIZE")
    return Mail(reverse_path, parameters, None if size is None else _parse_size(size))


def parse_chunk(argument: bytes) -> Chunk:
    """Return what BDAT announces. Raises CommandRefused."""
    size, *rest = argument.split() or [b""]
    last = [word.upper() for word in rest] == [b"LAST"]
    if rest and not last:
        raise CommandRefused(SYNTAX_ERROR)
    return Chunk(_parse_size(size), last)


def _parse_authenticate(argument: bytes) -> Authenticate:
    mechanism, _, initial = argument.rstrip(b" ").partition(b" ")
    if not mechanism:
        raise CommandRefused(AUTH_MALFORMED)
    if initial == b"=":  # RFC 4954 §4: an initial response of no bytes
        return Authenticate(mechanism.upper(), b"")
    return Authenticate(mechanism.upper(), decode_base64(initial) if initial else None)


def _parse_introduce(argument: bytes) -> Introduce:
    attributes: dict[bytes, bytes | None] = {}
    for word in argument.split():
        name, equals, value = word.partition(b"=")
        if not equals:
            raise CommandRefused(SYNTAX_ERROR)
        try:
            text = decode_xtext(value)
        except XtextError as error:
            raise CommandRefused(SYNTAX_ERROR) from error
        attributes[name.upper()] = None if text.upper() in _UNKNOWN else text
    return Introduce(attributes)


def _parse_parameters(text: bytes) -> dict[bytes, bytes]:
    words = (word.partition(b"=") for word in text.split(b" ") if word)
    return {keyword.upper(): value for keyword, _, value in words}


def _parse_size(value: bytes) -> int:
    if not value.isdigit() or len(value) > MAX_SIZE_DIGITS:
        raise CommandRefused(SYNTAX_ERROR)
    return int(value)


_PARSERS: Final[dict[bytes, Callable[[bytes], Command]]] = {
    b"HELO": _parse_hello,
    b"EHLO": _parse_extended_hello,
    b"MAIL": _parse_mail,
    b"RCPT": _parse_recipient,
    b"AUTH": _parse_authenticate,
    b"XCLIENT": _parse_introduce,
}

# What stands behind these is ignored, as ever.
_WITHOUT_ARGUMENT: Final[dict[bytes, Command]] = {
    b"DATA": Data(),
    b"RSET": Reset(),
    b"STARTTLS": StartTls(),
    b"QUIT": Quit(),
}
