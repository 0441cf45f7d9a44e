r"""Conversations as text: what a client says, and what it must hear.

    control me mail.example.org
    environ TCPREMOTEIP 192.0.2.7
    S 220 mail.example.org ESMTP
    C MAIL FROM:<sue@example.net>
    C RCPT TO:<joe@example.org>
    S 250 ok
    S 250 ok
    exit 1
    queued sue@example.net joe@example.org
    | Received: from unknown (192.0.2.7)
    |   by unknown with SMTP; {DATE}

Lines of the client that stand together are sent together. Each is ended with
CR LF, unless it begins with `C-`; `\r`, `\n`, `\0` and `\xff` stand for bytes.
In what the server says, `{TIME}`, `{QP}` and `{DATE}` stand for any. `control`
may be given again for the next line of a file. `#` begins a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_ANY = {
    b"{TIME}": rb"\d+",
    b"{QP}": rb"\d+",
    b"{DATE}": rb"\d+ \w{3} \d{4} \d\d:\d\d:\d\d -0000",
}


@dataclass
class Expected:
    """A message that must be queued; `message` is a pattern."""

    envelope: list[bytes]
    lines: list[bytes] = field(default_factory=list)

    def matches(self, envelope: list[bytes], message: bytes) -> bool:
        """Ask whether it is this one."""
        text = b"".join(line + b"\n" for line in self.lines)
        return self.envelope == envelope and is_like(text, message)


@dataclass
class Dialog:
    """One conversation: turns of (what the server says, what the client says then)."""

    controls: dict[str, bytes] = field(default_factory=dict)
    environ: dict[bytes, bytes] = field(default_factory=dict)
    turns: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"", b"")])
    queued: list[Expected] = field(default_factory=list)
    exit_status: int = 0


def is_like(pattern: bytes, text: bytes) -> bool:
    """Ask whether `text` is what `pattern` says."""
    expression = re.escape(pattern)
    for word, meaning in _ANY.items():
        expression = expression.replace(re.escape(word), meaning)
    return re.fullmatch(expression, text) is not None


def parse(text: str) -> Dialog:
    """Return the dialog that `text` describes."""
    dialog = Dialog()
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word and not word.startswith("#"):
            _take(dialog, word, rest)
    return dialog


def _take(dialog: Dialog, word: str, rest: str) -> None:
    says, answers = dialog.turns[-1]
    match word:
        case "control":
            name, _, value = rest.partition(" ")
            dialog.controls[name] = dialog.controls.get(name, b"") + value.encode() + b"\n"
        case "environ":
            name, _, value = rest.partition(" ")
            dialog.environ[name.encode()] = value.encode()
        case "S" if answers:
            dialog.turns.append((_bytes(rest) + b"\r\n", b""))
        case "S":
            dialog.turns[-1] = says + _bytes(rest) + b"\r\n", b""
        case "C" | "C-":
            dialog.turns[-1] = says, answers + _bytes(rest) + (b"\r\n" if word == "C" else b"")
        case "queued":
            dialog.queued.append(Expected([_bytes(path) for path in rest.split(" ")]))
        case "|":
            dialog.queued[-1].lines.append(_bytes(rest))
        case "exit":
            dialog.exit_status = int(rest)
        case _:
            raise ValueError(f"no line of a dialog: {word} {rest}")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
