"""A name server on loopback that answers from a table; whatever is not in it does not exist.

An answer that is too long for a datagram is cut; whoever asks again over TCP gets it whole.
"""

from __future__ import annotations

import os
import socket
import socketserver
import struct
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
SILENCE = "SILENCE"  # in the place of records: do not answer
MAX_DATAGRAM = 512  # bytes, RFC 1035 §4.2.1
MAX_ALIASES = 8

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
        port = server.getsockname()[1]
        thread = threading.Thread(target=_serve, args=(server, table, asked), daemon=True)
        thread.start()
        try:
            with _tcp_server(table, (address, port), asked):
                yield port, asked
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()


def _serve(server: socket.socket, table: Table, asked: list[str]) -> None:
    while True:
        data, peer = server.recvfrom(4096)
        if not data:
            return
        answer = answer_to(dns.message.from_wire(data), table, asked)
        if answer is not None:
            server.sendto(_fitting(answer), peer)


def _fitting(answer: dns.message.Message) -> bytes:
    wire = answer.to_wire(want_shuffle=False)
    if len(wire) <= MAX_DATAGRAM:
        return wire
    answer.flags |= dns.flags.TC
    answer.answer.clear()
    return answer.to_wire()


@contextmanager
def _tcp_server(table: Table, place: tuple[str, int], asked: list[str]) -> Iterator[None]:
    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while length := self.rfile.read(2):
                query = dns.message.from_wire(self.rfile.read(*struct.unpack("!H", length)))
                asked.append("over TCP:")
                answer = answer_to(query, table, asked)
                if answer is not None:
                    wire = answer.to_wire(want_shuffle=False)
                    self.wfile.write(struct.pack("!H", len(wire)) + wire)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(place, Session) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def answer_to(
    query: dns.message.Message, table: Table, asked: list[str]
) -> dns.message.Message | None:
    """Return what the table says to a question; None: nothing."""
    question = query.question[0]
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    asked.append(f"{name} {kind}")
    answer = dns.message.make_response(query, recursion_available=True)
    for _ in range(MAX_ALIASES):
        alias = table.get((name.lower(), "CNAME"))
        if alias is None or kind == "CNAME":
            break
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", "CNAME", *alias))
        (name,) = alias
    records = table.get((name.lower(), kind))
    if records == [SILENCE]:
        return None
    if records == [SERVER_FAILURE]:
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif records is not None:
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", kind, *records))
    elif not any(known == name.lower() for known, _ in table):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
