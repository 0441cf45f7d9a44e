"""The man pages and texts of a system home: copied from where the package has them.

A package has them in `man` and `doc` beside it, a checkout in `docs`, where the pages
must have been built.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pyqmail
from pyqmail.home.hierarchy import SECTIONS, TEXT_MODE
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE: Final = os.path.dirname(os.path.abspath(pyqmail.__file__))
_BESIDE: Final = os.path.dirname(_PACKAGE)
_CHECKOUT: Final = os.path.join(os.path.dirname(_BESIDE), "docs")


def copy_manual(home: str) -> None:
    """Have all pages that are installed in man/, and all texts in doc/."""
    for path in _pages():
        name = os.path.basename(path)
        _copy(path, os.path.join(home, f"man/man{name[-1]}", name))
    for path in _texts():
        _copy(path, os.path.join(home, "doc", os.path.basename(path)))


def _pages() -> Iterator[str]:
    for folder in (os.path.join(_BESIDE, "man"), os.path.join(_CHECKOUT, "_build/man")):
        for path in _listing(folder):
            if path[-2:-1] == "." and path[-1] in SECTIONS:
                yield path


def _texts() -> Iterator[str]:
    for folder in (os.path.join(_BESIDE, "doc"), _CHECKOUT):
        yield from (path for path in _listing(folder) if path.endswith(".md"))


def _listing(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def _copy(source: str, target: str) -> None:
    """Copy a file that can be copied again at any time, so that nothing is synced."""
    temporary = f"{target}.tmp"
    files.discard(temporary)
    descriptor = files.create_exclusively(temporary, TEXT_MODE)
    try:
        files.write(descriptor, files.read_all(source))
    finally:
        os.close(descriptor)
    files.rename(temporary, target)
