"""Message numbers that a test chooses, in the place of inode numbers."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


class Numbers:
    """Gives the numbers in `next` to the next messages, and to others those of their inodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.next: list[int] = []
        monkeypatch.setattr("pyqmail.queue.intake.os", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fstat(self, descriptor: int) -> Any:
        if not self.next:
            return os.fstat(descriptor)
        return SimpleNamespace(st_ino=self.next.pop(0))
