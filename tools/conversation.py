"""The telnet conversation of the old tutorials, spoken to the real port and shown."""

from __future__ import annotations

import json
import re
import socket

from letters import Surprise

LOOPBACK = "127.0.0.1"
USUAL_PORTS = {"smtp": 2525, "submission": 2587, "smtps": 2465, "pop3": 2110, "pop3s": 2995}
PATIENCE = 30  # seconds for each answer

# What is typed, and the whole line that must come back; None where a message goes on.
# The words in capitals are filled in.
GREETING = r"220 HOST ESMTP"
CONVERSATION = (
    ("helo dude", r"250 HOST"),
    ("mail <budi@far.example.net>", r"250 ok"),
    ("rcpt <aku@HOST>", r"250 ok"),
    ("data", r"354 go ahead"),
    ("Subject: testing", None),
    ("", None),
    ("This is a test.", None),
    (".", r"250 ok \d+ qp \d+"),
    ("quit", r"221 HOST"),
)


def choose_places() -> list[str]:
    """Return options for `qmailctl run`: another port for each that somebody else has."""
    options = []
    for name, port in USUAL_PORTS.items():
        if _is_taken(port):
            print(f"· somebody listens on port {port} already: {name} takes a free one")
            options.append(f"--listen={name}={LOOPBACK}:0")
    return options


def _is_taken(port: int) -> bool:
    try:
        with socket.create_server((LOOPBACK, port)):
            return False
    except OSError:
        return True


def port_of(first_line: str, name: str) -> int:
    """Return where a service is, by the first line of `qmailctl run --json`."""
    return json.loads(first_line)["services"][name]["port"]


def converse(port: int, host: str) -> str:
    """Hold the conversation, print it, and return the number after `qp`."""
    print(f"\n$ telnet {LOOPBACK} {port}\n  Connected to {LOOPBACK}.")
    number = ""
    with socket.create_connection((LOOPBACK, port), PATIENCE) as connection:
        stream = connection.makefile("rw", encoding="latin-1", newline="")
        _expect(GREETING, stream.readline(), host)
        for typed, pattern in CONVERSATION:
            line = typed.replace("HOST", host)
            print(f"  {line}")
            stream.write(f"{line}\r\n")
            stream.flush()
            if pattern is not None:
                answer = _expect(pattern, stream.readline(), host)
                number = answer.partition(" qp ")[2] or number
        if stream.read():
            raise Surprise("the server said more after its last word")
    print("  Connection closed by foreign host.")
    return number


def _expect(pattern: str, line: str, host: str) -> str:
    answer = line.removesuffix("\r\n")
    print(f"  {answer}")
    if not re.fullmatch(pattern.replace("HOST", re.escape(host)), answer):
        raise Surprise(f"the server should answer {pattern}, but answers {line!r}")
    return answer
