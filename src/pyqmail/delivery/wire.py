"""What qmail-lspawn and its delivery workers say to each other.

Both ends are one program, so nothing here is for anybody else. A packet of the
socket pair is one task with the message's descriptor, or some answers.
"""

from __future__ import annotations

import array
import socket
import struct

from pyqmail.delivery.recipient import Recipient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    # Slot, wait status, and what the delivery wrote.
    Answer = tuple[int, int, bytes]

# Addresses are bounded by protocol.spawn.MAX_FIELD; home and instructions come from
# the administrator, and a longer packet is refused by the kernel.
MAX_PACKET: Final = 131072
_MAX_ANSWERS: Final = 16384  # bytes of answers that share a packet

_TASK: Final = struct.Struct(">H?")
_ANSWER: Final = struct.Struct(">HHH")
_DESCRIPTOR_SIZE: Final = array.array("i").itemsize


class Task:
    """A delivery to make: `message` is an open descriptor, the receiver's to close.

    `replaced` says that the qmail-local of this home is somebody else's.
    """

    __slots__ = ("message", "recipient", "replaced", "slot")

    def __init__(self, slot: int, message: int, recipient: Recipient, *, replaced: bool) -> None:
        self.slot = slot
        self.message = message
        self.recipient = recipient
        self.replaced = replaced


def send_task(connection: socket.socket, task: Task) -> None:
    """Send `task`; raises BlockingIOError if there is no room now."""
    packet = _TASK.pack(task.slot, task.replaced) + b"\0".join(task.recipient.arguments)
    socket.send_fds(connection, [packet], [task.message])


def receive_task(connection: socket.socket) -> Task | None:
    """Return the next task, or None at the end; raises BlockingIOError if none is there."""
    packet, ancillary, _, _ = connection.recvmsg(
        MAX_PACKET, socket.CMSG_SPACE(_DESCRIPTOR_SIZE), socket.MSG_CMSG_CLOEXEC
    )
    if not packet:
        return None
    (message,) = array.array("i", ancillary[0][2])
    slot, replaced = _TASK.unpack_from(packet)
    fields = packet[_TASK.size :].split(b"\0")
    return Task(slot, message, Recipient(*fields), replaced=replaced)


def send_answers(connection: socket.socket, answers: Iterable[Answer]) -> None:
    """Send all `answers`; wait for room."""
    packet = b""
    for slot, status, output in answers:
        packet += _ANSWER.pack(slot, status, len(output)) + output
        if len(packet) > _MAX_ANSWERS:
            _send_waiting(connection, packet)
            packet = b""
    if packet:
        _send_waiting(connection, packet)


def parse_answers(packet: bytes) -> Iterator[Answer]:
    """Yield the answers in one packet."""
    position = 0
    while position < len(packet):
        slot, status, length = _ANSWER.unpack_from(packet, position)
        position += _ANSWER.size
        yield slot, status, packet[position : position + length]
        position += length


def _send_waiting(connection: socket.socket, packet: bytes) -> None:
    connection.settimeout(None)
    try:
        connection.send(packet)
    finally:
        connection.settimeout(0)
