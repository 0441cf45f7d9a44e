"""Tell a running qmail-send to read locals and virtualdomains again, which it does at HUP."""

from __future__ import annotations

import os
import signal

from pyqmail.queue.layout import queue_directory
from pyqmail.system.locks import holder_of_lock


def tell_qmail_send(home: str) -> None:
    """Send HUP to the qmail-send of `home`, if one runs and can be told."""
    # It locks this file for as long as it lives; qmail-send(8).
    pid = holder_of_lock(os.path.join(queue_directory(home), "lock", "sendmutex"))
    if pid is not None:
        try:
            os.kill(pid, signal.SIGHUP)
        except (ProcessLookupError, PermissionError):
            return  # it has ended by now, or the number means another process elsewhere
