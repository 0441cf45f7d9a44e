"""The way into the queue of another host: QMQP, as its client; qmail-qmqpc(8).

Takes what qmail-queue takes, keeps it in memory, and hands it to the first
server that answers a connection. Exit codes are those of qmail-queue.
"""

from __future__ import annotations

import os

from pyqmail.control.files import ControlError, read_list
from pyqmail.protocol.netstring import encode_netstring
from pyqmail.queue import outcome
from pyqmail.queue.outcome import QueueFailure
from pyqmail.system import files
from pyqmail.system.standard_input import occupy
from pyqmail.system.tcp import Connection, parse_ip_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from pyqmail.system.tcp import Address

PORT: Final = 628
CONNECT_TIMEOUT: Final = 10  # seconds
TIMEOUT: Final = 60  # seconds for one read or write

# What ends an envelope: the NUL of its last record, and one more.
_END: Final = b"\0\0"

_ANSWER_SIZE: Final = 1024
_VERDICTS: Final = {
    ord("K"): outcome.QUEUED,
    ord("Z"): outcome.REFUSED_FOR_NOW,
    ord("D"): outcome.REFUSED,
}
_NEXT_SERVER: Final = (outcome.SERVER_SILENT, outcome.SERVER_ABSENT)


def submit(home: str, message: int = 0, envelope: int = 1) -> int:
    """Hand over what two descriptors give, and return the exit code of qmail-queue."""
    for descriptor in (message, envelope):
        occupy(descriptor)
    try:
        servers = _read_servers(home)
        request = _read_request(message, envelope)
        return _ask_first(servers, request)
    except QueueFailure as failure:
        return failure.code
    except MemoryError:
        return outcome.OUT_OF_MEMORY


def _read_servers(home: str) -> list[bytes]:
    if not os.path.isdir(home):
        raise QueueFailure(outcome.NO_HOME)
    try:
        servers = read_list(home, "qmqpservers")
    except ControlError as error:
        raise QueueFailure(outcome.NO_CONFIGURATION) from error
    if servers is None:
        raise QueueFailure(outcome.NO_CONFIGURATION)
    return servers


def _read_request(message: int, envelope: int) -> bytes:
    try:
        parts = [files.read_rest(message), *_addresses(_read_envelope(envelope))]
    except OSError as error:
        raise QueueFailure(outcome.READ_ERROR) from error
    return encode_netstring(b"".join(encode_netstring(part) for part in parts))


def _read_envelope(descriptor: int) -> bytes:
    """Read until the envelope is complete; whoever wrote it may keep the descriptor open."""
    data = bytearray()
    while piece := os.read(descriptor, files.READ_SIZE):
        start = max(0, len(data) - 1)
        data += piece
        if data.startswith(b"\0") or data.find(_END, start) >= 0:
            break
    return bytes(data)


def _addresses(envelope: bytes) -> list[bytes]:
    """Return reverse path and forward paths; what comes after the envelope does not count."""
    records, end, _ = envelope.partition(_END)
    first, *others = records.split(b"\0")
    if not (end and first.startswith(b"F") and all(each.startswith(b"T") for each in others)):
        raise QueueFailure(outcome.BAD_ENVELOPE)
    return [record[1:] for record in (first, *others)]


def _ask_first(servers: list[bytes], request: bytes) -> int:
    """Let the first server that can be reached decide; return what it says."""
    code = outcome.NO_CONFIGURATION
    for server in servers:
        address = parse_ip_address(server)
        if address is None:
            continue
        try:
            connection = Connection(address)
        except OSError:
            return outcome.NO_SOCKET
        try:
            code = _connect(connection, address) or _converse(connection, request)
        finally:
            connection.close()
        if code not in _NEXT_SERVER:
            break
    return code


def _connect(connection: Connection, address: Address) -> int:
    """Connect; return 0, or the code of what was in the way."""
    try:
        connection.connect(address, PORT, CONNECT_TIMEOUT)
    except TimeoutError:
        return outcome.SERVER_SILENT
    except OSError:
        return outcome.SERVER_ABSENT
    return 0


def _converse(connection: Connection, request: bytes) -> int:
    try:
        connection.send(request, TIMEOUT)
        while answer := connection.receive(_ANSWER_SIZE, TIMEOUT):
            for byte in answer:
                if byte in _VERDICTS:
                    return _VERDICTS[byte]
    except OSError:
        pass
    # What became of the message only the server knows; the caller tries later.
    return outcome.CONNECTION_BROKE
