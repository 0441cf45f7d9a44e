"""Whether a recipient can exist here: the lookup that qmail-send, qmail-lspawn and qmail-local do.

A station of its own would be needed to ask, so what the sender, the
deliverer and the mailbox know is put together here. It says no only if it is
sure: what this user may not see, exists.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyqmail.control.launchers import is_ours
from pyqmail.control.roles import roles_of
from pyqmail.delivery import dotqmail
from pyqmail.delivery.users import BREAK, find_assigned, find_owner
from pyqmail.errors import Failure, TransientFailure
from pyqmail.send.configuration import read_routing
from pyqmail.system.errnos import is_temporary

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyqmail.control.assign import Assignment
    from pyqmail.control.roles import Roles
    from pyqmail.send.routing import Routing

PROGRAMS: Final = ("qmail-send", "qmail-lspawn", "qmail-local", "qmail-getpw")
MAX_AGE: Final = 1.0  # seconds
MAX_FOUND: Final = 1000  # recipients that are remembered so long
PATIENCE: Final = 30  # seconds; a directory service or a home on the network may be slow
THREADS: Final = 32
THREADS_OF_USER: Final = 2  # a home that hangs keeps them until it hangs no more


def recipient_check(home: str) -> Callable[[bytes], Awaitable[bool]]:
    """Return what qmail-smtpd asks for each recipient. What it returns raises Failure."""
    check, threads = RecipientCheck(home), _Threads()

    async def exists(forward_path: bytes) -> bool:
        if check.surely_exists(forward_path):
            return True
        try:
            async with asyncio.timeout(PATIENCE):
                return await threads.call(_user_in(forward_path), check.may_exist, forward_path)
        except TimeoutError as error:
            raise TransientFailure(b"looking for a mailbox takes too long") from error

    return exists


def _user_in(forward_path: bytes) -> bytes:
    """Return what names the user, as far as an address tells: what comes before an extension."""
    local, _, domain = forward_path.lower().rpartition(b"@")
    return local.partition(BREAK)[0] + b"@" + domain


class _Threads:
    """Threads for looking at homes, of which one user has only some: the others wait in line."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "recipient")
        self._rooms: dict[bytes, asyncio.Semaphore] = {}
        self._present: Counter[bytes] = Counter()  # who works or waits

    async def call(
        self, user: bytes, function: Callable[[bytes], bool], forward_path: bytes
    ) -> bool:
        """Call `function` in a thread, when there is room for the user."""
        loop = asyncio.get_running_loop()
        self._present[user] += 1
        room = self._rooms.setdefault(user, asyncio.Semaphore(THREADS_OF_USER))
        try:
            await room.acquire()
        except BaseException:
            self._leave(user)
            raise

        def end(_work: object) -> None:
            with suppress(RuntimeError):  # the loop has ended, and we with it
                loop.call_soon_threadsafe(self._leave, user, room)

        work = self._pool.submit(function, forward_path)
        work.add_done_callback(end)  # not when nobody waits any more: the thread may hang still
        return await asyncio.wrap_future(work)

    def _leave(self, user: bytes, room: asyncio.Semaphore | None = None) -> None:
        if room is not None:
            room.release()
        self._present[user] -= 1
        if not self._present[user]:
            del self._present[user], self._rooms[user]


class RecipientCheck:
    """The recipients of one home; what it knows of the home is a second old at most."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._known: _Knowledge | None = None

    def surely_exists(self, forward_path: bytes) -> bool:
        """Ask whether it is known already, or from users/cdb alone, that a recipient exists.

        That waits for nobody, and most recipients are users: a thread for each would cost more
        than all the rest.
        """
        known = self._known
        if known is None or not known.is_fresh:
            return False
        if forward_path in known.found:
            return True
        exists = self._is_obvious(known, forward_path)
        if exists and len(known.found) < MAX_FOUND:
            known.found.add(forward_path)
        return exists

    def _is_obvious(self, known: _Knowledge, forward_path: bytes) -> bool:
        recipient = known.routing.route(forward_path)
        if recipient.channel != "local" or not known.is_ours:
            return True
        try:
            owner = find_assigned(self._home, recipient.address.rpartition(b"@")[0])
        except Failure:
            return False  # may_exist() will say what is wrong
        return owner is not None and not owner.dash

    def may_exist(self, forward_path: bytes) -> bool:
        """Ask whether a delivery to `forward_path` would find instructions. Raises Failure.

        Whatever is not delivered here, or by programs that are not ours, exists.
        """
        known = self._look()
        recipient = known.routing.route(forward_path)
        if recipient.channel != "local" or not known.is_ours:
            return True
        local = recipient.address.rpartition(b"@")[0]
        owner = find_owner(self._home, local, known.roles)
        return not owner.dash or has_instructions(owner)

    def _look(self) -> _Knowledge:
        if self._known is None or not self._known.is_fresh:
            self._known = _Knowledge(
                since=time.monotonic(),
                routing=read_routing(self._home),
                roles=roles_of(self._home),
                is_ours=all(is_ours(self._home, name) for name in PROGRAMS),
            )
        return self._known


@dataclass(frozen=True, slots=True)
class _Knowledge:
    """What is the same for all recipients of a home."""

    since: float
    routing: Routing
    roles: Roles
    is_ours: bool
    found: set[bytes] = field(default_factory=set)  # forward paths that exist

    @property
    def is_fresh(self) -> bool:
        """Can it still be relied on?"""
        return time.monotonic() - self.since <= MAX_AGE


def has_instructions(owner: Assignment) -> bool:
    """Ask whether any `.qmail` file is for this extension; who may not look, assumes so."""
    for name, _ in dotqmail.candidates(owner.dash, owner.ext):
        try:
            mode = os.stat(os.path.join(owner.home, name)).st_mode
        except PermissionError:
            return True
        except OSError as error:
            if is_temporary(error.errno or 0):
                raise TransientFailure(b"unable to look for a .qmail file") from error
            continue  # qmail-local goes on to the next, too
        if stat.S_ISREG(mode):
            return True
    return not os.path.isdir(owner.home)  # a home that is away makes mail wait, not bounce
