"""Programs of Debian packages that cannot be installed beside each other.

Debian's mail servers exclude one another, and one that is installed would be
started. So the package is fetched and unpacked into a folder, and its programs
run from there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 120  # seconds for a package of a few megabytes


def why_not() -> str | None:
    """Return why no package can be fetched here; None if it can be tried."""
    missing = [name for name in ("apt-get", "dpkg") if shutil.which(name) is None]
    return f"not a Debian machine: there is no {missing[0]}" if missing else None


def unpack(package: str, folder: Path, *others: str) -> Path:
    """Return the folder with what is in `package` and `others`, its libraries.

    Skips the test where they cannot be had.
    """
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    root = folder / package
    root.mkdir()
    root.chmod(0o755)
    fetched = subprocess.run(
        ["apt-get", "--quiet", "--option", "APT::Sandbox::User=", "download", package, *others],
        cwd=root,
        check=False,
        capture_output=True,
        timeout=PATIENCE,
    )
    if fetched.returncode != 0:
        pytest.skip(f"apt-get cannot download {package}: {fetched.stderr.decode()}")
    for archive in root.glob("*.deb"):
        subprocess.run(["dpkg", "--extract", archive.name, "."], cwd=root, check=True)
    return root


def require_libraries(program: Path) -> None:
    """Skip the test where an unpacked program lacks libraries."""
    answer = subprocess.run(["ldd", str(program)], check=False, capture_output=True, text=True)
    missing = [line.split()[0] for line in answer.stdout.split("\n") if "not found" in line]
    if missing:
        pytest.skip(f"{program.name} needs {', '.join(missing)}: not installed (tools/peers.txt)")


def environ(root: Path) -> dict[str, str]:
    """Return the variables with which programs of an unpacked package find their libraries."""
    return {
        "PATH": f"{root}/usr/sbin:{root}/usr/bin:{os.defpath}",
        "LD_LIBRARY_PATH": f"{root}/usr/lib/postfix",
    }
