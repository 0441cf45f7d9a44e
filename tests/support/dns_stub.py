"""A name server on loopback that answers from a table; whatever is not in it does not exist."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Iterator

# The original asks port 53 and no other, so each process that tests has an address of its own.
ADDRESS = f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"
SERVER_FAILURE = "SERVFAIL"  # in the place of records: answer so

# (name, kind) -> records as zone files have them
Table = dict[tuple[str, str], list[str]]


@contextmanager
def dns_server(
    table: Table, address: str = ADDRESS, port: int = 53
) -> Iterator[tuple[int, list[str]]]:
    """Answer at `address`; give the port and the list of the questions that came."""
    asked: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        thread = threading.Thread(target=_serve, args=(server, table, asked), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()


def _serve(server: socket.socket, table: Table, asked: list[str]) -> None:
    while True:
        data, peer = server.recvfrom(4096)
        if not data:
            return
        query = dns.message.from_wire(data)
        answer = answer_to(query, table, asked)
        server.sendto(answer.to_wire(want_shuffle=False), peer)


def answer_to(query: dns.message.Message, table: Table, asked: list[str]) -> dns.message.Message:
    """Return what the table says to a question."""
    question = query.question[0]
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    asked.append(f"{name} {kind}")
    answer = dns.message.make_response(query, recursion_available=True)
    records = table.get((name.lower(), kind))
    if records == [SERVER_FAILURE]:
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif records is not None:
        answer.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *records))
    elif not any(known == name.lower() for known, _ in table):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
