"""Work in somebody's home, done by a child that has become him for good.

Root never opens what a user may have put there: a link, a FIFO, a file of somebody else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.errors import Failure, TransientFailure
from pyqmail.system.accounts import Account, drop_to, groups_of
from pyqmail.system.errnos import error_text
from pyqmail.system.files import read_rest
from pyqmail.system.processes import exit_code, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

_UMASK: Final = 0o077
_DONE: Final = 0
_FAILED: Final = 1


def as_account(account: Account, work: Callable[[], bytes]) -> bytes:
    """Return what `work` returns as `account`; who is that already does it himself.

    Raises TransientFailure if it fails, or the child dies.
    """
    if os.geteuid() == account.uid:
        return work()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _be_child(account, work, writing)
    os.close(writing)
    try:
        text = read_rest(reading)
    finally:
        os.close(reading)
    status = wait_for(pid)
    if status == _DONE:
        return text
    reason = text if exit_code(status) == _FAILED else b"the process has died"
    raise TransientFailure(os.fsencode(account.name) + b": " + reason)


def _be_child(account: Account, work: Callable[[], bytes], writing: int) -> None:
    code = _FAILED
    try:
        drop_to(account.uid, account.gid, groups_of(account))
        os.umask(_UMASK)
        os.write(writing, work())
        code = _DONE
    except Failure as failure:
        os.write(writing, failure.text)
    except OSError as error:
        place = os.fsencode(error.filename) + b": " if error.filename else b""
        os.write(writing, place + error_text(error))
    finally:
        os._exit(code)
