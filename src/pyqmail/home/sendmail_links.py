"""/usr/sbin/sendmail and /usr/lib/sendmail: ours for a time, or for good, and the others' again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.errors import TransientFailure
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATHS: Final = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
_SAVED: Final = ".before-qmail"


def replace(home: str, paths: Sequence[str] = PATHS) -> list[str]:
    """Make each path a link to the sendmail of `home`; return what was done.

    What was there is kept beside it. At no moment is there no sendmail.
    """
    ours = _program(home)
    done = []
    for path in paths:
        if not os.path.isdir(os.path.dirname(path)) or _is_link_to(path, ours):
            continue
        if os.path.lexists(path):
            _save(path)
        temporary = f"{path}.new"
        files.discard(temporary)
        files.symlink(ours, temporary)
        files.rename(temporary, path)
        files.sync_directory(os.path.dirname(path))
        done.append(f"{path} is {ours} now")
    return done


def restore(home: str, paths: Sequence[str] = PATHS) -> list[str]:
    """Put back what was there before; return what was done. What is not ours stays."""
    done = []
    for path in paths:
        if not _is_link_to(path, _program(home)):
            continue
        if os.path.lexists(path + _SAVED):
            files.rename(path + _SAVED, path)
            done.append(f"{path} is again what it was")
        else:
            files.unlink(path)
            done.append(f"{path} is gone: there was none before")
        files.sync_directory(os.path.dirname(path))
    return done


def foreign(home: str, paths: Sequence[str] = PATHS) -> Iterator[str]:
    """Yield the paths that lead to the program of another mail server."""
    for path in paths:
        if os.path.lexists(path) and not _is_link_to(path, _program(home)):
            yield path


def _program(home: str) -> str:
    return os.path.join(home, "bin/sendmail")


def _is_link_to(path: str, target: str) -> bool:
    return os.path.islink(path) and os.readlink(path) == target


def _lead_alike(path: str, other: str) -> bool:
    return os.path.islink(path) and _is_link_to(other, os.readlink(path))


def _save(path: str) -> None:
    """Give what is at `path` a second name."""
    saved = path + _SAVED
    if os.path.lexists(saved):
        if os.path.samestat(os.lstat(saved), os.lstat(path)) or _lead_alike(saved, path):
            return  # we were interrupted after this
        raise TransientFailure(
            os.fsencode(f"{saved} is there already, and another program than {path}: remove one")
        )
    if os.path.islink(path):
        files.symlink(os.readlink(path), saved)
    else:
        files.link(path, saved)
