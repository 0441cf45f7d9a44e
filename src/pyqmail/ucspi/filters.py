"""What filters do to bytes that pass: line ends, and a record of them. No input, no output.

A filter is fed with what comes, cut anywhere, and gives what goes on; `end()`
gives what it held back.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol

    class Filter(Protocol):
        """Changes one direction of a connection."""

        def feed(self, data: bytes) -> bytes:
            """Return what goes on now that `data` has come."""

        def end(self) -> bytes:
            """Return what was held back."""


RECORD_SIZE: Final = 256  # bytes; the original writes down what one read of so many gave


class AddCr:
    """Puts CR before every LF."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        """Return `data` with CR before every LF."""
        return data.replace(b"\n", b"\r\n")

    def end(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""


class DelCr:
    """Takes one CR away before every LF; other CRs stay."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what goes on; a CR at the end waits for what comes after it."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return data[: len(data) - len(self._held)].replace(b"\r\n", b"\n")

    def end(self) -> bytes:
        """Return the CR that was held back, if any."""
        held, self._held = self._held, b""
        return held


class FixCr:
    """Puts CR before every LF that has none."""

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: bytes) -> bytes:
        """Return `data` with CR before every LF."""
        head = b""
        if self._after_cr and data.startswith(b"\n"):
            head, data = b"\n", data[1:]
        if head or data:
            self._after_cr = data.endswith(b"\r")
        return head + data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def end(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""


def recorded(data: bytes, pid: int, direction: bytes) -> bytes:
    """Return the lines that recordio(1) writes down about `data`.

    `direction` is `<` from the peer, `>` to it. A line that did not end in this
    piece is followed by `+`, every other by a blank.
    """
    head = b"%d %s " % (pid, direction)
    pieces = []
    for start in range(0, len(data), RECORD_SIZE):
        *lines, rest = data[start : start + RECORD_SIZE].split(b"\n")
        pieces += [head + line + b" \n" for line in lines]
        if rest:
            pieces.append(head + rest + b"+\n")
    return b"".join(pieces)


def recorded_end(pid: int, direction: bytes) -> bytes:
    """Return the line that recordio(1) writes down when a direction ends."""
    return b"%d %s [EOF]\n" % (pid, direction)
