"""The messages of one session: what lay in the Maildir when it began.

Others may read, move and remove them meanwhile; a message that was only renamed, because
another client has flagged it, is found again by its name up to the colon.
"""

from __future__ import annotations

import os
import re
from hashlib import blake2b

from pyqmail.mailbox.listing import FOLDERS
from pyqmail.protocol.pop3 import WireSize
from pyqmail.system import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

# A unique id has at most so many bytes, all of them printable (RFC 1939 §7).
_MAX_UID: Final = 70
_UID: Final = re.compile(rb"[!-~]{1,%d}" % _MAX_UID)
# What Dovecot's and Courier's deliverers, for example, say in the name: the size with CRLF
# for each line end.
_SIZE_IN_NAME: Final = re.compile(r",W=(\d{1,18})(?:[,:]|$)")


class Messages:
    """Messages by number, from 0; `names` are as in Entry. The Maildir is the current directory."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._moved: dict[bytes, str] = {}  # by what their names begin with
        self._state_of_moved: tuple[int, ...] = ()

    def open(self, index: int) -> int:
        """Return a descriptor of the message. Raises OSError."""
        try:
            return files.open_to_read(self.names[index])
        except FileNotFoundError:
            return files.open_to_read(self._new_name(index))

    def remove(self, index: int) -> None:
        """Remove the message. Raises OSError."""
        try:
            files.unlink(self.names[index])
        except FileNotFoundError:
            files.unlink(self._new_name(index))

    def mark_as_seen(self, index: int) -> None:
        """Move a message that is new to the others, if it is still there."""
        name = self.names[index]
        if name.startswith("new/"):
            try:
                files.rename(name, "cur/" + name.removeprefix("new/") + ":2,")
            except OSError:
                return  # another reader was faster; or the next session tries again

    def wire_size(self, index: int) -> int:
        """Return how many bytes a client receives for the message; 0 if it is gone."""
        size = WireSize()
        said = _SIZE_IN_NAME.search(self.names[index])
        if said is not None:
            return size.of_lines(int(said[1]))
        try:
            descriptor = self.open(index)
        except OSError:
            return 0
        try:
            while data := os.read(descriptor, files.READ_SIZE):
                size.feed(data)
        except OSError:
            return 0  # a folder, for example
        finally:
            os.close(descriptor)
        return size.total()

    def _new_name(self, index: int) -> str:
        """Return where the message is now. Raises FileNotFoundError."""
        # The folders are read again only if something has changed: whoever asks for many that
        # are gone would wait for each.
        state = tuple(os.stat(folder).st_mtime_ns for folder in FOLDERS)
        if state != self._state_of_moved:
            self._moved = {
                _beginning(name): f"{folder}/{name}"
                for folder in FOLDERS
                for name in os.listdir(folder)
            }
            self._state_of_moved = state
        name = self._moved.get(_beginning(self.names[index]))
        if name is None:
            raise FileNotFoundError(self.names[index])
        return name


def _beginning(name: str) -> bytes:
    return os.fsencode(os.path.basename(name)).partition(b":")[0]


def file_uid(name: str) -> bytes:
    """Return the unique id that the original gives a message: its name up to the colon."""
    return _beginning(name)


def proper_uid(name: str) -> bytes:
    """Return the same if it is one, else one that is made of it."""
    uid = _beginning(name)
    return uid if _UID.fullmatch(uid) else blake2b(uid, digest_size=16).hexdigest().encode()
