"""What an application is: a coroutine over an environment and a byte stream. See docs/ucspi.md.

It returns its exit status, as a program does: 0, 100, 111 or whatever it says;
`-N` if it was a process that signal N killed. It raises Failure for what the
log should say. It closes nothing: the server does.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

from pyqmail.system.streams import Stream

if TYPE_CHECKING:
    import ssl

# Variables as a program would see them; RULES may have set any of them.
Environment = Mapping[bytes, bytes]


class ServerStream(Stream, Protocol):
    """The connection, as an application has it."""

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on, as a server. What came before the handshake is dropped."""

    def hand_over(self) -> int | None:
        """Return the descriptor of the connection, for a process that shall have it.

        None if bytes go through us: nobody but this stream can read and write them.
        """


Application = Callable[[Environment, ServerStream], Awaitable[int]]

# Makes the application of the rest of a chain of programs, for the program before it.
Compose = Callable[[Sequence[bytes]], Application]

# How the process becomes the user that it was told to become.
_WAY_DOWN: Final[ContextVar[Callable[[], None]]] = ContextVar("way down")

# The number of the connection in the log: a process number, or one like it.
_NUMBER: Final[ContextVar[int]] = ContextVar("number")


def set_way_down(way: Callable[[], None]) -> None:
    """Say what `give_up_rights()` does."""
    _WAY_DOWN.set(way)


def give_up_rights() -> None:
    """Become the user of tcpserver's `-u` and `-g` now, not after `application()` has returned.

    For an application that starts processes which must not have more. Without `-u` nothing happens.
    """
    _WAY_DOWN.get(lambda: None)()


def set_number(number: int) -> None:
    """Give the connection that this task serves its number."""
    _NUMBER.set(number)


def current_number() -> int:
    """Return the number of the connection that this task serves; else our process number."""
    return _NUMBER.get(os.getpid())
