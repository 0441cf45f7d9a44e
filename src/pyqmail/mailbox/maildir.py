"""Put a message into a Maildir; maildir(5).

A message is written under tmp/, synced, renamed into new/, and new/ is synced.
Readers look only into new/ and cur/, so they see a whole message or none, and
nobody ever locks. `deliver()` does all that for one message; whoever delivers
many calls the four steps himself and syncs each new/ once.

The texts of the failures are those of qmail-local(8).
"""

from __future__ import annotations

import os
import time
from itertools import count

from pyqmail.errors import TransientFailure
from pyqmail.system import files
from pyqmail.system.errnos import is_temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

FOLDER_MODE: Final = 0o700
MESSAGE_MODE: Final = 0o600
MAX_AGE: Final = 86400  # readers remove from tmp/ what is older than 36 hours; maildir(5)
_TRIES: Final = 3  # names to try; the original's number

NO_MAILDIR: Final = b"Unable to chdir to maildir. (#4.2.1)"
TOO_SLOW: Final = b"Timeout on maildir delivery. (#4.3.0)"
UNREADABLE: Final = b"Unable to read message. (#4.3.0)"
TEMPORARY: Final = b"Temporary error on maildir delivery. (#4.3.0)"

_deliveries = count(1)


def make_maildir(path: str) -> None:
    """Make an empty Maildir; on return it survives a power cut.

    Raises OSError with the name of the folder that cannot be made; those that
    were made before it stay.
    """
    files.make_directory(path, FOLDER_MODE)
    folder = path.rstrip("/") or path
    for name in ("tmp", "new", "cur"):
        files.make_directory(f"{folder}/{name}", FOLDER_MODE)
    files.sync_directory(path)
    files.sync_directory(os.path.dirname(folder) or ".")


class Draft:
    """A message in tmp/ of `maildir`, written but visible to nobody."""

    __slots__ = ("begun", "descriptor", "maildir", "name")

    def __init__(self, maildir: str, name: str, descriptor: int, begun: float) -> None:
        self.maildir = maildir
        self.name = name
        self.descriptor = descriptor  # -1 once it is closed
        self.begun = begun

    @property
    def path(self) -> str:
        """Return where the message lies before it is published."""
        return os.path.join(self.maildir, "tmp", self.name)

    @property
    def published_path(self) -> str:
        """Return where the message lies once it is published."""
        return os.path.join(self.maildir, "new", self.name)


def deliver(maildir: str, head: bytes, message: int) -> None:
    """Put `head` and what is left to read of descriptor `message` into `maildir`.

    On return the message survives a power cut. On failure it is not there.
    """
    draft = write_draft(maildir, head, message)
    sync_draft(draft)
    publish(draft)
    try:
        sync_new(maildir)
    except TransientFailure:
        take_back(draft)
        raise


def write_draft(maildir: str, head: bytes, message: int) -> Draft:
    """Write `head` and what is left to read of descriptor `message` to a new file in tmp/."""
    draft = _create(maildir)
    try:
        _copy(head, message, draft.descriptor)
    except OSError as error:
        discard(draft)
        raise TransientFailure(TEMPORARY) from error
    except TransientFailure:
        discard(draft)
        raise
    return draft


def sync_draft(draft: Draft) -> None:
    """Return when the contents of the draft survive a power cut; on failure it is gone."""
    try:
        files.sync(draft.descriptor)
        close(draft)
    except OSError as error:
        discard(draft)
        raise TransientFailure(TEMPORARY) from error


def close(draft: Draft) -> None:
    """Close the file of the draft. Some network file systems report a full disk only here."""
    descriptor, draft.descriptor = draft.descriptor, -1
    os.close(descriptor)


def publish(draft: Draft) -> None:
    """Show the synced draft to readers; on failure it is gone.

    It survives a power cut only after sync_new().
    """
    if not 0 <= time.time() - draft.begun <= MAX_AGE:
        discard(draft)
        raise TransientFailure(TOO_SLOW)
    try:
        files.rename(draft.path, draft.published_path)
    except OSError as error:
        discard(draft)
        raise TransientFailure(TEMPORARY) from error


def sync_new(maildir: str) -> None:
    """Return when everything published in `maildir` survives a power cut."""
    try:
        files.sync_directory(os.path.join(maildir, "new"))
    except OSError as error:
        raise TransientFailure(TEMPORARY) from error


def take_back(draft: Draft) -> None:
    """Remove a published message that could not be made durable, unless a reader was faster.

    It will be delivered again; so it would be there twice.
    """
    _remove(draft.published_path)


def discard(draft: Draft) -> None:
    """Close and remove an unpublished draft. What cannot be removed, readers will find stale."""
    if draft.descriptor >= 0:
        descriptor, draft.descriptor = draft.descriptor, -1
        os.close(descriptor)
    _remove(draft.path)


def unique_name(now: float, pid: int, delivery: int, random: bytes, host: str) -> str:
    """Return a name that no other delivery anywhere uses; maildir(5).

    Containers may share a host name, process numbers and the clock: only
    `random` tells them apart.
    """
    host = host.replace("/", "\\057").replace(":", "\\072")
    seconds, microseconds = divmod(int(now * 1_000_000), 1_000_000)
    return f"{seconds}.M{microseconds}P{pid}Q{delivery}R{random.hex()}.{host}"


def _create(maildir: str) -> Draft:
    for _ in range(_TRIES):
        begun = time.time()
        host = os.uname().nodename
        name = unique_name(begun, os.getpid(), next(_deliveries), os.urandom(8), host)
        draft = Draft(maildir, name, -1, begun)
        try:
            draft.descriptor = files.create_exclusively(draft.path, MESSAGE_MODE)
        except FileExistsError:
            continue
        except OSError as error:
            raise TransientFailure(_reason_against(maildir)) from error
        return draft
    raise TransientFailure(TEMPORARY)


def _reason_against(maildir: str) -> bytes:
    """Say why no file can be created: is it the Maildir, or something that may pass?"""
    try:
        os.stat(maildir + "/.")  # fails exactly where chdir(2) would
    except OSError as error:
        if not is_temporary(error.errno or 0):
            return NO_MAILDIR
    return TEMPORARY


def _copy(head: bytes, message: int, descriptor: int) -> None:
    piece = _read(message)
    files.write(descriptor, head + piece)
    while piece and (piece := _read(message)):
        files.write(descriptor, piece)


def _read(message: int) -> bytes:
    try:
        return os.read(message, files.READ_SIZE)
    except OSError as error:
        raise TransientFailure(UNREADABLE) from error


def _remove(path: str) -> None:
    try:  # noqa: SIM105  contextlib costs start-up time
        files.unlink(path)
    except OSError:
        pass  # the failure that brought us here is the one to report
