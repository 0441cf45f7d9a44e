"""Files of a vector: laid out before a run, looked at after it."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import struct
import time
from typing import TYPE_CHECKING, Any

from tests.differential.replay.cdb_file import read_records
from tests.differential.replay.words import NormalForm, fill, filled_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MODES = {"dir": 0o755, "maildir": 0o700}


def lay(path: str, kind: Any, words: Mapping[str, str], owner: int | None = None) -> int | None:
    """Lay one file of a vector at `path`.

    `kind` is its text or an object that says more. Returns the descriptor that
    keeps a FIFO `held`, else None.
    """
    if isinstance(kind, str):
        kind = {"text": kind}
    what = kind.get("type", "file")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if what == "link":
        os.symlink(fill(kind["to"], words), path)
        return None
    if what == "dir":
        os.makedirs(path, exist_ok=True)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "maildir":
        for name in ("tmp", "new", "cur"):
            os.makedirs(f"{path}/{name}", 0o700, exist_ok=True)
    else:
        with open(path, "wb") as file:
            file.write(_contents(kind, words))
    _dress(path, kind, words, owner)
    if kind.get("held"):
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)
    return None


def _contents(kind: Mapping[str, Any], words: Mapping[str, str]) -> bytes:
    if "tcpto" in kind:
        return _timeout_table(kind["tcpto"])
    return filled_bytes(kind.get("text", ""), words) * kind.get("repeat", 1)


def _timeout_table(hosts: list[tuple[str, int, int]]) -> bytes:
    """Return lock/tcpto for hosts, each an address, a count, and how many seconds ago."""
    entries = b""
    for address, count, ago in hosts:
        entries += bytes(map(int, address.split("."))) + bytes([count, 0, 0, 0])
        entries += struct.pack("<Q", int(time.time()) - ago)
    return entries.ljust(1024, b"\0")


def _dress(path: str, kind: Mapping[str, Any], words: Mapping[str, str], owner: int | None) -> None:
    """Give a file its owner, mode and times."""
    if owner is not None:
        os.chown(path, owner, owner)
    default = DEFAULT_MODES.get(kind.get("type", "file"), 0o644)
    os.chmod(path, int(kind["mode"], 8) if "mode" in kind else default)
    if "mtime" in kind:
        when = int(fill(str(kind["mtime"]), words))
        os.utime(path, (kind.get("atime", when), when))


def hand_over(root: str, uid: int, gid: int) -> None:
    """Make a folder and all below it belong to somebody."""
    os.chown(root, uid, gid)
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            os.chown(f"{folder}/{name}", uid, gid, follow_symlinks=False)


def look(root: str, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return all that lies below `root`: name, mode, type and bytes."""
    seen = {}
    for folder, folders, files in os.walk(root):
        for name in sorted(folders + files):
            path = f"{folder}/{name}"
            seen[prefix + os.path.relpath(path, root)] = _look_at(path)
    return seen


def _look_at(path: str) -> dict[str, Any]:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return {"type": "link", "to": os.readlink(path)}
    entry: dict[str, Any] = {"mode": f"{stat.S_IMODE(status.st_mode):04o}"}
    if stat.S_ISDIR(status.st_mode):
        entry["type"] = "dir"
    elif stat.S_ISFIFO(status.st_mode):
        entry["type"] = "fifo"
    else:
        try:
            with open(path, "rb") as file:
                entry["data"] = file.read()
        except PermissionError:  # some files are laid so that nobody but root may read them
            entry["type"] = "unreadable"
    return entry


def changes(
    before: Mapping[str, Any], after: Mapping[str, Any], normal: NormalForm
) -> dict[str, Any]:
    """Return what is new, changed or (as None) gone, under normal names.

    Files whose names become equal are numbered in the order of their contents.
    """
    found: dict[str, list[Any]] = {}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            entry = _normal_entry(name, after.get(name), normal)
            found.setdefault(normal.file_name(name), []).append(entry)
    result = {}
    for name, entries in found.items():
        entries.sort(key=lambda entry: json.dumps(entry, sort_keys=True))
        for number, entry in enumerate(entries, 1):
            result[name if number == 1 else f"{name}#{number}"] = entry
    return result


def _normal_entry(name: str, entry: dict[str, Any] | None, normal: NormalForm) -> Any:
    if entry is None:
        return None
    entry = dict(entry)
    if "to" in entry:
        entry["to"] = normal.text(entry["to"])
    data = entry.pop("data", None)
    if data is None:
        return entry
    records = read_records(data) if re.search(r"(^|/|\.)cdb$", name) else None
    return {**entry, **({"text": normal.bytes(data)} if records is None else {"cdb": records})}


def remove(path: str) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
