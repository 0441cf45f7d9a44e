"""What a power cut may leave on a disk: a model, and every outcome it allows.

The calls of `system.files` are recorded while real code works in a real
directory. `Trace.outcomes(cut)` then gives every state the disk may be in if the power
fails before call number `cut`:

- a name that was made, removed or moved since the last sync of its directory
  is as before or as after, each independently of all others (moving counts as
  two changes). A journalling file system is kinder, but promises no more;
- a file whose contents changed since its last sync is whole, as at its last
  sync, or cut in the middle; one that was overwritten is old behind the middle of what changed.
"""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.disk import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

# One state of the disk: contents of each file by its path.
State = dict[str, bytes]

_MAX_CHANGES = 14  # names that may be undecided at once: 2**14 states


class Trace:
    """A recorded piece of work on the directory `top`."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._names = {path: _inode(path) for path in _paths(top)}
        self._contents = {}
        for path, inode in self._names.items():
            with open(path, "rb") as file:
                self._contents[inode] = file.read()
        self._steps: list[tuple[Any, ...]] = []
        self._created: tuple[str, int] | None = None
        # A file keeps what it held under names that come back, though its inode is another's now.
        self._files = {inode: inode for inode in self._names.values()}
        self._numbers = itertools.count(-1, -1)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what happens while this lasts."""
        with watched(self._record):
            yield
        self._look_at_created()

    @property
    def length(self) -> int:
        """The number of calls; a cut there is after the last of them."""
        return len(self._steps)

    def mark(self) -> int:
        """Return the number that the next call will have."""
        return self.length

    def outcomes(self, cut: int) -> Iterator[State]:
        """Yield every state that a power cut before call `cut` may leave."""
        disk = _Disk(self._names, self._contents)
        for step in self._steps[:cut]:
            disk.apply(step)
        yield from disk.outcomes(self._top)

    def _record(self, call: str, arguments: tuple[Any, ...]) -> None:
        self._look_at_created()
        if call in {"create", "append"}:
            if not os.path.exists(arguments[0]):
                self._created = (arguments[0], len(self._steps))
            self._steps.append(("nothing",))
        elif call == "write":
            self._steps.append(("write", self._file(arguments[0]), bytes(arguments[1])))
        elif call == "write_at":
            self._steps.append(("write_at", self._file(arguments[0]), *arguments[1:]))
        elif call in {"sync", "sync_contents"}:
            self._steps.append(("sync", self._file(arguments[0])))
        else:
            self._steps.append((call, *arguments))

    def _file(self, descriptor: int) -> int:
        inode = os.fstat(descriptor).st_ino
        return self._files.get(inode, inode)

    def _look_at_created(self) -> None:
        """Learn the inode of a file once the call that made it is over."""
        if self._created is not None:
            path, step = self._created
            self._created = None
            if os.path.exists(path):
                self._files[_inode(path)] = file = next(self._numbers)
                self._steps[step] = ("name", path, file)


class _Disk:
    """Names and contents, each as it surely is and as it is meant to be."""

    def __init__(self, names: dict[str, int], contents: dict[int, bytes]) -> None:
        self._sure = dict(names)
        self._names = dict(names)
        self._sure_contents = dict(contents)
        self._contents = dict(contents)

    def apply(self, step: tuple[Any, ...]) -> None:
        call, *arguments = step
        getattr(self, "_" + call, self._nothing)(*arguments)

    def outcomes(self, top: str) -> Iterator[State]:
        changed = [
            path
            for path in {*self._sure, *self._names}
            if self._sure.get(path) != self._names.get(path)
        ]
        assert len(changed) <= _MAX_CHANGES, "too many states to look at"
        for kept in itertools.product((False, True), repeat=len(changed)):
            names = dict(self._sure)
            for path, keep in zip(changed, kept, strict=True):
                inode = (self._names if keep else self._sure).get(path)
                names.pop(path, None)
                if inode is not None:
                    names[path] = inode
            for damage in ("whole", "lost", "cut"):
                yield {
                    os.path.relpath(path, top): self._content(inode, damage)
                    for path, inode in names.items()
                }

    def _content(self, inode: int, damage: str) -> bytes:
        now, sure = self._contents.get(inode, b""), self._sure_contents.get(inode, b"")
        if damage == "whole" or now == sure:
            return now
        if damage == "lost":
            return sure
        if len(now) == len(sure):  # overwritten in place
            changed = [position for position in range(len(now)) if now[position] != sure[position]]
            middle = (changed[0] + changed[-1]) // 2
            return now[:middle] + sure[middle:]
        return now[: (len(sure) + len(now)) // 2]

    def _nothing(self, *_arguments: object) -> None:
        """What changes neither names nor contents."""

    def _name(self, path: str, inode: int) -> None:
        if self._names.get(path) != inode:
            self._names[path] = inode
            self._contents[inode] = self._sure_contents[inode] = b""

    def _write(self, inode: int, data: bytes) -> None:
        self._contents[inode] = self._contents.get(inode, b"") + data

    def _write_at(self, inode: int, data: bytes, position: int) -> None:
        old = self._contents[inode]
        self._contents[inode] = old[:position] + data + old[position + len(data) :]

    def _sync(self, inode: int) -> None:
        self._sure_contents[inode] = self._contents.get(inode, b"")

    def _sync_file_system(self, _descriptor: int) -> None:
        self._sure = dict(self._names)
        self._sure_contents = dict(self._contents)

    def _link(self, old: str, new: str) -> None:
        self._names[new] = self._names[old]

    def _rename(self, old: str, new: str) -> None:
        self._names[new] = self._names.pop(old)

    def _unlink(self, path: str) -> None:
        self._names.pop(path, None)

    def _sync_directory(self, directory: str) -> None:
        for path in {*self._sure, *self._names}:
            if os.path.dirname(path) == directory:
                if path in self._names:
                    self._sure[path] = self._names[path]
                else:
                    self._sure.pop(path, None)


def _inode(path: str) -> int:
    return os.stat(path).st_ino


def _paths(top: str) -> list[str]:
    return [
        os.path.join(folder, name)
        for folder, _, names in os.walk(top)
        for name in names
        if os.path.isfile(os.path.join(folder, name))
    ]
