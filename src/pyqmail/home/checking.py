"""Look at a home and say what is wrong with it, and what to do.

What only looks odd is a warning; what stops mail, or breaks a promise, is an
error.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from pyqmail.control.assign import parse_assign
from pyqmail.control.bounce_format import read_bounce_format
from pyqmail.control.catalogue import CATALOGUE, Kind
from pyqmail.control.cdb import Cdb, CdbError
from pyqmail.control.files import (
    ControlError,
    read_integer,
    read_line,
    read_list,
    read_list_or_me,
    read_text,
)
from pyqmail.control.launchers import LAUNCHER
from pyqmail.control.maps import ConstantMap
from pyqmail.control.roles import Roles, roles_of
from pyqmail.errors import Failure
from pyqmail.home.domains import is_accepted
from pyqmail.home.findings import ERROR, WARNING, Finding, finding_of
from pyqmail.home.launchers import interpreter_of
from pyqmail.home.machine_checking import check_machine
from pyqmail.home.network_checking import check_network
from pyqmail.home.remote_checking import check_remote
from pyqmail.home.setup import ALIASES, FOLDERS
from pyqmail.home.system_checking import check_system
from pyqmail.queue import layout
from pyqmail.queue.journal_use import awaits_recovery
from pyqmail.system import errnos, files

if TYPE_CHECKING:
    from collections.abc import Iterator

_HIDDEN: Final = "cannot be looked at: run this as root or as the owner"
_FIELDS_TO_HOME: Final = 4  # of a record of users/cdb: user, uid, gid, home
_WORLD_WRITABLE: Final = 0o002  # qmail-local refuses such a home; qmail's conf-patrn


def check_home(home: str) -> list[Finding]:
    """Return all that is wrong with `home`, errors and warnings, in order of place."""
    try:
        roles = roles_of(home)
        findings = [*_check_places(home, roles), *_check_controls(home), *_check_users(home)]
        findings += [*_check_aliases(home), *_check_programs(home), *_check_journal(home)]
        findings += check_network(home, roles)
        findings += check_remote(home, roles)
        findings += check_machine(home, roles)
    except Failure as failure:
        return [Finding(ERROR, home, str(failure))]
    return findings


def _check_places(home: str, roles: Roles) -> Iterator[Finding]:
    if not roles.private:
        yield from check_system(home, roles)
        return
    for name, mode in FOLDERS.items():
        yield from _check_path(home, name, roles, mode)
    yield from _check_queue(home, roles)


def _check_queue(home: str, roles: Roles) -> Iterator[Finding]:
    if not os.path.isdir(layout.queue_directory(home)):
        yield Finding(ERROR, "queue", "is missing: run qmailctl setup")
        return
    if not os.access(layout.queue_directory(home), os.X_OK):
        yield Finding(WARNING, "queue", _HIDDEN)
        return
    for name, _, mode in layout.queue_entries():
        yield from _check_path(home, os.path.join("queue", name).rstrip("/"), roles, mode)


def _check_journal(home: str) -> Iterator[Finding]:
    """Look whether qmail-send waits for messages to be recovered."""
    with suppress(OSError):  # what cannot be looked at has been told of
        if awaits_recovery(layout.queue_directory(home)):
            text = "has messages from before the machine went down: start qmail-queued"
            yield Finding(ERROR, "queue/journal", text)


def _check_programs(home: str) -> Iterator[Finding]:
    """Look whether the launcher can start anything."""
    launcher = os.path.join(home, "bin", LAUNCHER)
    try:
        interpreter = interpreter_of(launcher)
    except FileNotFoundError:
        yield Finding(ERROR, f"bin/{LAUNCHER}", "is missing: run qmailctl setup")
        return
    except OSError as error:
        reason = errnos.error_text(error).decode()
        yield Finding(ERROR, f"bin/{LAUNCHER}", f"cannot be read ({reason}): run qmailctl setup")
        return
    if not os.access(interpreter, os.X_OK):
        text = f"cannot execute {interpreter}: run qmailctl setup"
        yield Finding(ERROR, f"bin/{LAUNCHER}", text)


def _check_path(home: str, name: str, roles: Roles, mode: int) -> Iterator[Finding]:
    owner = roles.owner.uid
    repair = partial(files.give, home, name, owner, roles.owner.gid, mode)
    try:
        status = os.stat(os.path.join(home, name))
    except FileNotFoundError:
        yield Finding(ERROR, name, "is missing: run qmailctl setup")
        return
    except PermissionError:
        yield Finding(WARNING, name, _HIDDEN)
        return
    if status.st_uid != owner:
        text = f"belongs to uid {status.st_uid}: chown {owner} {name}"
        yield Finding(ERROR, name, text, repair)
    found = stat.S_IMODE(status.st_mode)
    if found & _WORLD_WRITABLE & ~mode:
        text = f"everybody may write to it: chmod {mode:o} {name}"
        yield Finding(ERROR, name, text, repair)
    elif found != mode:
        text = f"has mode {found:04o} and not {mode:04o}: chmod {mode:o} {name}"
        yield Finding(WARNING, name, text, repair)


def _check_controls(home: str) -> Iterator[Finding]:
    broken = list(_read_every_control(home))
    yield from broken
    if broken:
        return
    if not read_line(home, "me"):
        yield Finding(ERROR, "control/me", "has no host name: run config-fast NAME")
    if read_list(home, "rcpthosts") is None:
        yield Finding(
            ERROR,
            "control/rcpthosts",
            "IS MISSING: THIS HOST RELAYS FOR EVERYBODY; write the names of your domains into it",
        )
    yield from _check_domains(home)
    yield from _check_more_hosts(home)


def _read_every_control(home: str) -> Iterator[Finding]:
    for file in CATALOGUE:
        try:
            if file.kind is Kind.INTEGER:
                read_integer(home, file.name, 0)
            elif file.name == "bounceformat":
                read_bounce_format(home)
            elif file.kind not in (Kind.DATABASE, Kind.TEXT):  # which have a check of their own
                read_list(home, file.name)
        except ControlError as error:
            yield finding_of(error)


def _check_domains(home: str) -> Iterator[Finding]:
    """Mail for a domain must come in by rcpthosts and go one way after that."""
    local = ConstantMap(read_list_or_me(home, "locals") or ())
    virtual = read_list(home, "virtualdomains") or []
    accepted = read_list(home, "rcpthosts")
    if accepted is None:
        return
    known = ConstantMap([*accepted, *(read_list(home, "morercpthosts") or ())])
    ours = list(read_list_or_me(home, "locals") or ())
    for domain in ours:
        if not is_accepted(domain, known):
            yield Finding(
                WARNING, "control/rcpthosts", f"lacks {_shown(domain)}, which is in locals"
            )
    for line in virtual:
        domain, colon, _ = line.partition(b":")
        if not colon:
            yield Finding(
                WARNING, "control/virtualdomains", f"has no colon in the line {_shown(line)}"
            )
        elif domain in local:
            yield Finding(
                WARNING,
                "control/virtualdomains",
                f"has {_shown(domain)}, but so has locals, which comes first",
            )
        elif domain and b"@" not in domain and not is_accepted(domain.lstrip(b"."), known):
            yield Finding(
                WARNING, "control/rcpthosts", f"lacks {_shown(domain)}, which is in virtualdomains"
            )


def _check_more_hosts(home: str) -> Iterator[Finding]:
    source = os.path.join(home, "control/morercpthosts")
    database = source + ".cdb"
    if os.path.exists(source) != os.path.exists(database):
        yield Finding(
            WARNING, "control/morercpthosts", "goes with morercpthosts.cdb: run qmail-newmrh"
        )
    elif os.path.exists(source) and os.stat(source).st_mtime > os.stat(database).st_mtime:
        yield Finding(WARNING, "control/morercpthosts", "is newer than its .cdb: run qmail-newmrh")
    for number, line in enumerate(
        (read_text(home, "control/morercpthosts") or b"").split(b"\n"), 1
    ):
        if line.endswith(b"\r"):  # which qmail-newmrh takes for a part of the name
            text = "ends with a CR, and never matches: take it out, and run qmail-newmrh"
            yield Finding(WARNING, f"control/morercpthosts line {number}", text)
            return


def _check_users(home: str) -> Iterator[Finding]:
    try:
        text = read_text(home, "users/assign")
        records = None if text is None else parse_assign(text)
    except ControlError as error:
        yield finding_of(error)
        return
    try:
        written = list(Cdb(os.path.join(home, "users/cdb")).records())
    except FileNotFoundError:
        if records is not None:
            yield Finding(ERROR, "users/cdb", "is missing, but users/assign is there: qmail-newu")
        return
    except CdbError as failure:
        yield Finding(ERROR, "users/cdb", str(failure))
        return
    if records is not None and written != records:
        yield Finding(WARNING, "users/cdb", "is not what users/assign says: run qmail-newu")
    yield from _check_owners(written)


def _check_owners(records: list[tuple[bytes, bytes]]) -> Iterator[Finding]:
    """Look whether everybody who has mail has a folder for it."""
    owners = dict.fromkeys(tuple(value.split(b"\0")[:4]) for _, value in records)
    for user, *_, folder in (owner for owner in owners if len(owner) == _FIELDS_TO_HOME):
        if _is_missing(folder):
            text = f"{_shown(user)} has no folder {_shown(folder)}: the mail waits"
            yield Finding(WARNING, "users/assign", text)


def _is_missing(path: bytes) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:  # hidden from whoever asks
        return False
    return False


def _check_aliases(home: str) -> Iterator[Finding]:
    for name in ALIASES:
        if not os.path.lexists(os.path.join(home, "alias", name)):
            who = name.removeprefix(".qmail-")
            yield Finding(WARNING, f"alias/{name}", f"is missing: mail to {who} bounces")


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "backslashreplace")
