"""The first half of a POP3 session as the original holds it, on descriptors 0 and 1.

What comes after belongs to another program, as that user. So not a byte is read beyond
the line with the password.
"""

from __future__ import annotations

import os

from pyqmail.protocol.pop3 import error
from pyqmail.protocol.pop3_login import CRASHED, FAILED, LogIn, LoginSession, Offer
from pyqmail.system import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from pyqmail.system.descriptor_stream import WaitingStream

TIMEOUT: Final = 1200  # seconds for one read or write
EXIT_CODE: Final = 1  # whatever happens, as ever

_CREDENTIALS: Final = 3
# A pipe takes so much at once, whoever reads it; pipe(7). Each of two lines has less than half.
_MAX_CREDENTIALS: Final = 65536


def hold_plain_login(
    stream: WaitingStream,
    challenge: bytes,
    program: list[bytes],
    environ: Mapping[bytes, bytes],
    *,
    takes_passwords: bool,
) -> int:
    """Ask for name and password, let `program` judge and go on; return the exit code."""
    offer = Offer(extensions=False, tls=False, passwords=takes_passwords)
    session = LoginSession(challenge, offer)
    try:
        login = _hear_login(stream, session)
        if login is not None:
            said = b"".join(part + b"\0" for part in (login.name, login.password, challenge))
            stream.write(_run(program, said, environ))
    except OSError:
        pass  # nobody listens
    return EXIT_CODE


def _hear_login(stream: WaitingStream, session: LoginSession) -> LogIn | None:
    """Return who the client says it is; None if it goes."""
    while True:
        event = session.next_event()
        stream.write(session.data_to_send())
        if event is not None:
            assert isinstance(event, LogIn)  # there are no extensions
            return event
        if session.closed or not (byte := stream.read(1)):
            return None
        session.receive_data(byte)


def _run(program: list[bytes], credentials: bytes, environ: Mapping[bytes, bytes]) -> bytes:
    """Run the program with the credentials; return what is to say of how it ended."""
    assert len(credentials) < _MAX_CREDENTIALS
    try:
        status = processes.wait_for(_start(program, credentials, environ))
    except OSError:
        return error(FAILED)
    if processes.crashed(status):
        return error(CRASHED)
    return error(FAILED) if processes.exit_code(status) else b""


def _start(program: list[bytes], credentials: bytes, environ: Mapping[bytes, bytes]) -> int:
    reading, writing = os.pipe()
    try:
        os.write(writing, credentials)
        return processes.start_by_name(program, environ, more=[(reading, _CREDENTIALS)])
    finally:
        os.close(reading)
        os.close(writing)
