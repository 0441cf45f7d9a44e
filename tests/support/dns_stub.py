"""A name server on loopback that answers from a table; whatever is not in it does not exist.

An answer that is too long for a datagram is cut; who asks again by TCP gets it whole.
"""

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
# In the place of records, or before them:
SERVER_FAILURE = "SERVFAIL"
REFUSED = "REFUSED"
SILENCE = "silence"  # no answer at all
TRUNCATED = "truncated"  # by UDP an empty answer with TC, however short; by TCP, the records
MAX_DATAGRAM = 512  # bytes, RFC 1035 §4.2.1
MAX_ALIASES = 8
ATTEMPTS = 20  # to find a port

# (name, kind) -> records as zone files have them
Table = dict[tuple[str, str], list[str]]


@contextmanager
def dns_server(
    table: Table, address: str = ADDRESS, port: int = 53
) -> Iterator[tuple[int, list[str]]]:
    """Answer at `address`; give the port and the list of the questions that came."""
    asked: list[str] = []
    server, listener = _sockets(address, port)
    with server, listener:
        threads = [
            threading.Thread(target=serve, args=(end, table, asked), daemon=True)
            for serve, end in ((_serve, server), (_serve_tcp, listener))
        ]
        for thread in threads:
            thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            server.sendto(b"", server.getsockname())
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _sockets(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Return one for UDP and one for TCP at the same port; 0 is any that both can have."""
    for _ in range(ATTEMPTS):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, port))
        try:
            return server, socket.create_server(server.getsockname())
        except OSError:  # somebody else has that one for TCP
            server.close()
    raise OSError(f"no port of {address} is free for both UDP and TCP")


def _serve(server: socket.socket, table: Table, asked: list[str]) -> None:
    while True:
        data, peer = server.recvfrom(4096)
        if not data:
            return
        query = dns.message.from_wire(data)
        answer = answer_to(query, table, asked)
        records = _records(query, table) or [""]
        if records[0] == SILENCE:
            continue
        wire = answer.to_wire(want_shuffle=False)
        if records[0] == TRUNCATED or len(wire) > MAX_DATAGRAM:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
            wire = answer.to_wire()
        server.sendto(wire, peer)


def _serve_tcp(listener: socket.socket, table: Table, asked: list[str]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb") as stream:
            length = int.from_bytes(stream.read(2), "big")
            if length:
                answer = answer_to(dns.message.from_wire(stream.read(length)), table, asked)
                data = answer.to_wire(want_shuffle=False)
                stream.write(len(data).to_bytes(2, "big") + data)


def _records(query: dns.message.Message, table: Table) -> list[str] | None:
    question = query.question[0]
    return table.get((question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)))


def answer_to(query: dns.message.Message, table: Table, asked: list[str]) -> dns.message.Message:
    """Return what the table says to a question."""
    question = query.question[0]
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    asked.append(f"{name} {kind}")
    answer = dns.message.make_response(query, recursion_available=True)
    for _ in range(MAX_ALIASES):
        alias = table.get((name.lower(), "CNAME"))
        if alias is None:
            break
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", "CNAME", *alias))
        (name,) = alias
    records = table.get((name.lower(), kind))
    if records and records[0] in (SILENCE, TRUNCATED):
        records = records[1:] or None
    if records in ([SERVER_FAILURE], [REFUSED]):
        answer.set_rcode(dns.rcode.from_text(records[0]))
    elif records is not None:
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", kind, *records))
    elif not any(known == name.lower() for known, _ in table):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
