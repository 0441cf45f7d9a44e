"""Processes that qmail-lspawn forks to work for it as somebody else.

Such a process has one descriptor, its end of a socket pair, and drops to its
user for good before it does anything. It ends when the other end is closed.
"""

from __future__ import annotations

import gc
import os
import socket

from pyqmail.delivery.reports import INTERNAL_BUG, KILLED, TEMPORARY_TROUBLE, status_of
from pyqmail.system import processes
from pyqmail.system.accounts import drop_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, NoReturn

_CONNECTION: Final = 3  # the one descriptor besides 0, 1 and 2
_ALL_DESCRIPTORS: Final = 1 << 20


class Offspring:
    """One such process, as its parent sees it."""

    def __init__(
        self, title: str, uid: int, gid: int, serve: Callable[[socket.socket], None]
    ) -> None:
        """Fork a process that becomes `uid` and `gid` and calls `serve`. Raises OSError."""
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # What is there now is shared with the child, and the collector would unshare it.
            gc.freeze()
            self._pid = os.fork()
            if self._pid == 0:
                _live(title, uid, gid, theirs, serve)
        except OSError:
            self.connection.close()
            raise
        finally:
            theirs.close()
        self.connection.setblocking(False)  # noqa: FBT003  the name says it

    def dismiss(self) -> None:
        """Let the process end when it has nothing left to do."""
        self.connection.close()

    def reap(self) -> bool:
        """Say whether the process, once dismissed, has ended."""
        return os.waitpid(self._pid, os.WNOHANG) != (0, 0)

    def bury(self) -> int:
        """Wait for a process that has closed its end; return the wait status for its work.

        A process that could not become its user says so by its exit code; any
        other that ends before it is dismissed has crashed.
        """
        self.connection.close()
        status = processes.wait_for(self._pid)
        refusals = (status_of(INTERNAL_BUG), status_of(TEMPORARY_TROUBLE))
        return status if status in refusals else KILLED


def _live(
    title: str,
    uid: int,
    gid: int,
    connection: socket.socket,
    serve: Callable[[socket.socket], None],
) -> NoReturn:
    code = TEMPORARY_TROUBLE
    try:
        connection = _close_everything_else(connection)
        try:
            drop_to(uid, gid, [gid])
        except OSError:
            code = INTERNAL_BUG
            raise
        processes.set_title(title)
        serve(connection)
        code = 0
    except Exception as error:  # noqa: BLE001  the border of the process
        os.write(2, b"%b: fatal: %b\n" % (title.encode(), repr(error).encode()))
    finally:
        os._exit(code)


def _close_everything_else(connection: socket.socket) -> socket.socket:
    """Close what belongs to others: their connections, messages, qmail-send's pipes."""
    os.dup2(connection.detach(), _CONNECTION, inheritable=False)
    os.closerange(_CONNECTION + 1, _ALL_DESCRIPTORS)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    kept = socket.socket(fileno=_CONNECTION)
    kept.setblocking(False)  # noqa: FBT003  the name says it
    return kept
