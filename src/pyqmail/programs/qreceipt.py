"""qreceipt - tell the sender that a message has arrived. See qreceipt(1).

Runs as the user whose `.qmail` names it; touches nothing but the queue.
"""

from __future__ import annotations

import os

from pyqmail.errors import PERMANENT, SUCCESS, PermanentFailure, TransientFailure
from pyqmail.message.address import quote_address
from pyqmail.message.header import contents, field_name, read_header
from pyqmail.message.rewriting import rewrite_list
from pyqmail.message.tokens import FieldSyntaxError, bare_address, tokenise
from pyqmail.programs.run import run
from pyqmail.system.standard_input import open_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_REQUEST = b"notice-requested-upon-delivery-to"
_NO_RECEIPT = (b"", b"#@[]")  # reverse paths of bounces: nobody to tell

_NOTICE = b"""\
From: DELIVERY NOTICE SYSTEM <%b>
To: <%b>
Subject: success notice

Hi! This is the qreceipt program. Your message was delivered to the
following address: %b. Thanks for asking.
"""


def main() -> NoReturn:
    """Run as the command `qreceipt`."""
    run("qreceipt", qreceipt)


def qreceipt(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Queue a notice for the sender if the message on descriptor 0 asks for one."""
    reverse_path = environ.get(b"SENDER")
    if not arguments or reverse_path is None:
        os.write(2, b"qreceipt: usage: qreceipt deliveryaddress\n")
        return PERMANENT
    address = arguments[0]
    try:
        fields = read_header(open_input()).fields
    except OSError as error:
        raise TransientFailure(b"read error") from error
    if _is_asked_for(address, fields) and reverse_path not in _NO_RECEIPT:
        _send_notice(address, reverse_path, fields, environ)
    return SUCCESS


def _is_asked_for(address: bytes, fields: list[bytes]) -> bool:
    requested: list[bytes] = []

    def take(address: str) -> str:
        requested.append(bare_address(address))
        return address

    for field in fields:
        if field_name(field) == _REQUEST:
            try:
                rewrite_list(tokenise(contents(field)), take)
            except FieldSyntaxError as error:
                text = b"unable to parse this: " + field.removesuffix(b"\n")
                raise PermanentFailure(text) from error
    return address in requested


def _send_notice(
    address: bytes, reverse_path: bytes, fields: list[bytes], environ: Mapping[bytes, bytes]
) -> None:
    from pyqmail.queue.client import QueueClient  # noqa: PLC0415  few messages ask for a notice

    quoted = quote_address(reverse_path)
    queue = QueueClient(environ)
    queue.write(_NOTICE % (quoted, quoted, address))
    for field in fields[::-1]:
        if field_name(field) == b"message-id":
            queue.write(b"Your " + field)
            break
    try:
        queue.commit(b"", [reverse_path])
    except PermanentFailure as failure:
        raise PermanentFailure(b"permanent qmail-queue error") from failure
    except TransientFailure as failure:
        raise TransientFailure(b"temporary qmail-queue error") from failure
