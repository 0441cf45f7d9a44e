"""Those whom a program under test talks to: its queue, and a server on loopback."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_LINE = 100_000  # bytes
UNFINISHED = "(closed inside the data)"


def ending_of(vector: Mapping[str, Any]) -> str:
    """Return how the vector's qmail-queue ends, as shell."""
    if "qq_error" in vector:
        return f"printf %s '{vector['qq_error']}' >&6; exit 82"
    if "qq_signal" in vector:
        return f"kill -{vector['qq_signal']} $$"
    return f"exit {vector.get('qq_exit', 0)}"


def envelope_fields(data: bytes) -> dict[str, Any]:
    """Return `from` and `to` of an envelope, or the raw bytes of a broken one."""
    records = data[:-2].split(b"\0")
    sound = records[0][:1] == b"F" and all(record[:1] == b"T" for record in records[1:])
    if not (data.endswith(b"\0\0") and sound):
        return {"envelope": data.decode("latin-1")}
    reverse_path, *forward_paths = (record[1:].decode("latin-1") for record in records)
    return {"from": reverse_path, "to": forward_paths}


class ScriptedServer:
    """An SMTP server that follows a vector's script and remembers what it saw."""

    def __init__(
        self, script: Mapping[str, Any], address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.seen: list[str] = []
        self.sessions = 0
        self.peer = ""  # the address that the last session came from
        self._script = script
        self._replies = {"EHLO": script.get("replies", {}).get("HELO"), **script.get("replies", {})}
        self._given: dict[str, int] = {}  # how often each command was answered, over all sessions
        self._socket = socket.create_server((address, port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        if script.get("refuse"):
            self._socket.close()
        else:
            self._thread.start()

    def stop(self) -> None:
        """Stop listening; return when the last session is over."""
        if not self._thread.is_alive():
            return
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        finally:
            self._socket.close()
        self._thread.join(3)

    def _serve(self) -> None:
        while True:
            try:
                connection, (self.peer, _) = self._socket.accept()
            except OSError:
                return
            self.sessions += 1
            connection.settimeout(15)
            with connection, connection.makefile("rwb") as stream:
                try:
                    self._session(stream)
                except OSError:
                    continue

    def _session(self, stream: Any) -> None:
        closing = self._script.get("close")  # the command at which it hangs up
        if self._script["greet"] is not None:
            self._say(stream, self._script["greet"])
        if closing in ("connect", "greet"):
            return
        in_transaction = False
        while line := stream.readline(LONGEST_LINE):
            text = line.decode("latin-1")
            verb = text.strip().partition(" ")[0].partition(":")[0].upper()
            in_transaction = in_transaction or verb == "MAIL"
            if in_transaction and verb != "QUIT":  # who leaves need not say so
                self.seen.append(text)
            if closing == ("HELO" if verb == "EHLO" else verb):
                return
            reply = self._reply_to(verb, text)
            self._say(stream, reply)
            if verb == "QUIT":
                return
            if verb == "DATA" and reply.startswith("3"):
                self.seen.append(self._data(stream))
                if closing == "." or self.seen[-1] == UNFINISHED:
                    return
                self._say(stream, self._replies["."])

    def _reply_to(self, verb: str, line: str) -> str:
        reply = self._replies.get(verb, "502 what\r\n")
        if isinstance(reply, dict):  # by what the line contains
            return next(text for part, text in reply.items() if part in line)
        if isinstance(reply, list):  # one after the other, the last one for ever
            number = self._given.get(verb, 0)
            self._given[verb] = number + 1
            return reply[min(number, len(reply) - 1)]
        return reply

    def _data(self, stream: Any) -> str:
        lines = []
        while not lines or lines[-1] != b".\r\n":
            line = stream.readline(LONGEST_LINE)
            if not line:
                return UNFINISHED
            lines.append(line)
        return b"".join(lines).decode("latin-1")

    def _say(self, stream: Any, text: str) -> None:
        stream.write(text.encode("latin-1"))
        stream.flush()


class NetstringServer:
    """A server for clients of QMQP: reads one netstring, says what the script says."""

    def __init__(self, script: Mapping[str, Any]) -> None:
        self.seen: list[str] = []
        self._script = script
        self._socket = socket.create_server(("127.0.0.1", script["port"]))
        self.port = script["port"]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; return when the last session is over."""
        if self._thread.is_alive():
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._thread.join(3)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(15)
            with connection, connection.makefile("rwb") as stream:
                if self._script.get("close") != "connect":
                    self._session(stream)

    def _session(self, stream: Any) -> None:
        length = b""
        while (byte := stream.read(1)) not in (b":", b""):
            length += byte
        if byte:
            self.seen.append(stream.read(int(length) + 1).decode("latin-1"))
            stream.write(self._script.get("reply", "").encode("latin-1"))
