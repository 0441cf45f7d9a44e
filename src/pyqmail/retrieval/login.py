"""The first half of a POP3 session: who is the client? qmail-popup(8).

What comes after belongs to another program, as that user. So not a byte is read beyond
the line with the password.
"""

from __future__ import annotations

import os
import time

from pyqmail.protocol.pop3 import LINE_TOO_LONG, MAX_LINE, OK, error, parse_command
from pyqmail.system import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, NoReturn

    from pyqmail.protocol.pop3 import Command
    from pyqmail.system.descriptor_stream import WaitingStream

TIMEOUT: Final = 1200  # seconds for one read or write
EXIT_CODE: Final = 1  # whatever happens, as ever

_CREDENTIALS: Final = 3
# A pipe takes so much at once, whoever reads it; pipe(7). Each of two lines has less than half.
_MAX_CREDENTIALS: Final = 65536


class _Over(Exception):  # noqa: N818  sessions end so, well or not
    """The session ends here."""


def hold_login(
    stream: WaitingStream, host: bytes, program: list[bytes], environ: Mapping[bytes, bytes]
) -> int:
    """Ask for name and password, let `program` judge and go on; return the exit code."""
    login = _Login(stream, b"<%d.%d@%b>" % (os.getpid(), time.time(), host), program, environ)
    try:
        login.hold()
    except (_Over, OSError):  # all is said, or nobody listens
        return EXIT_CODE


class _Login:
    def __init__(
        self,
        stream: WaitingStream,
        challenge: bytes,
        program: list[bytes],
        environ: Mapping[bytes, bytes],
    ) -> None:
        self._stream = stream
        self._challenge = challenge
        self._program = program
        self._environ = environ
        self._user: bytes | None = None

    def hold(self) -> NoReturn:
        self._stream.write(b"+OK " + self._challenge + b"\r\n")
        while True:
            line = self._read_line()
            reply = error(LINE_TOO_LONG) if line is None else self._obey(parse_command(line))
            self._stream.write(reply)

    def _read_line(self) -> bytes | None:
        """Return the next line; None if it is too long. Raises _Over at the end."""
        line = b""
        too_long = False
        while not line.endswith(b"\n"):
            byte = self._stream.read(1)
            if not byte:
                raise _Over
            too_long = too_long or len(line) > MAX_LINE
            line = byte if too_long else line + byte
        return None if too_long else line

    def _obey(self, command: Command) -> bytes:
        match command.verb:
            case b"user":
                return self._take_user(command.argument)
            case b"pass":
                return self._take_password(command.argument)
            case b"apop":
                user, space, digest = command.argument.partition(b" ")
                if not space:
                    return error(b"syntax error")
                return self._log_in(user, digest)
            case b"noop":
                return OK
            case b"quit":
                self._stream.write(OK)
                raise _Over
        return error(b"authorization first")

    def _take_user(self, user: bytes) -> bytes:
        if not user:
            return error(b"syntax error")
        self._user = user
        return OK

    def _take_password(self, password: bytes) -> bytes:
        if self._user is None:
            return error(b"USER first")
        if not password:
            return error(b"syntax error")
        return self._log_in(self._user, password)

    def _log_in(self, user: bytes, password: bytes) -> bytes:
        """Run the program with the credentials; say how it ended, if it ended badly."""
        credentials = b"".join(part + b"\0" for part in (user, password, self._challenge))
        assert len(credentials) < _MAX_CREDENTIALS
        try:
            status = processes.wait_for(self._start(credentials))
        except OSError:
            status = 1 << 8  # as a child that could not be executed
        if processes.crashed(status):
            self._stream.write(error(b"aack, child crashed"))
        elif processes.exit_code(status):
            self._stream.write(error(b"authorization failed"))
        raise _Over

    def _start(self, credentials: bytes) -> int:
        reading, writing = os.pipe()
        try:
            os.write(writing, credentials)
            pairs = [(reading, _CREDENTIALS)]
            return processes.start_by_name(self._program, self._environ, more=pairs)
        finally:
            os.close(reading)
            os.close(writing)
