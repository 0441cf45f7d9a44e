"""What a client may say: the commands, read as leniently as qmail-smtpd(8) reads them.

`MAIL`, `MAIL FROM` and `MAIL a@b` have always been understood, and parameters
that nobody knows have always been ignored; both stay. Refused is only what
cannot be carried further without breaking something.
"""

from __future__ import annotations

from typing import Final

from pyqmail.protocol.smtp.events import Command, Data, Hello, Mail, Quit, Recipient, Reset
from pyqmail.protocol.smtp.reply import SYNTAX_ERROR, Reply, reply

# Parameters of MAIL that ask for a promise. Ignoring them would break it.
PROMISES: Final = (b"SMTPUTF8", b"REQUIRETLS")

MAX_SIZE_DIGITS: Final = 20  # RFC 1870 §4: size-value is 1*20DIGIT

COMMANDS: Final[dict[bytes, type[Command]]] = {
    b"HELO": Hello,
    b"EHLO": Hello,
    b"MAIL": Mail,
    b"RCPT": Recipient,
    b"DATA": Data,
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
    """Return the command `verb`, one of COMMANDS. Raises CommandRefused."""
    match verb:
        case b"MAIL":
            return _parse_mail(argument)
        case b"RCPT":
            forward_path, rest = parse_path(argument)
            return Recipient(forward_path, _parse_parameters(rest))
        case b"HELO" | b"EHLO":
            return Hello(argument, extended=verb == b"EHLO")
        case b"DATA":
            return Data()
        case b"RSET":
            return Reset()
    return Quit()


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


def _parse_mail(argument: bytes) -> Mail:
    reverse_path, rest = parse_path(argument)
    parameters = _parse_parameters(rest)
    for promise in PROMISES:
        if promise in parameters:
            raise CommandRefused(reply(555, b"sorry, i don't offer " + promise + b" (#5.5.4)"))
    return Mail(reverse_path, parameters, _parse_size(parameters.get(b"SIZE")))


def _parse_parameters(text: bytes) -> dict[bytes, bytes]:
    words = (word.partition(b"=") for word in text.split(b" ") if word)
    return {keyword.upper(): value for keyword, _, value in words}


def _parse_size(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > MAX_SIZE_DIGITS:
        raise CommandRefused(SYNTAX_ERROR)
    return int(value)
