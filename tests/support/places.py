"""A folder for the homes of ordinary users: pytest's own can be entered by us alone."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.children import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def ordinary_place() -> Iterator[Path]:
    """Have a folder that every account can reach and an ordinary user owns: nobody, or we."""
    with tempfile.TemporaryDirectory(prefix="place.") as top:
        os.chmod(top, 0o755)
        if os.getuid() == 0:
            os.chown(top, NOBODY, NOBODY)
        yield Path(top)
