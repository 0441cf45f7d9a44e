"""Makes virtual environments and fills them from constraints.txt.

A stamp in the environment says what it was made from, so that a second start
looks at one small file and goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
POLICY = "/usr/sbin/policy-rc.d"  # asked before Debian's packages start a service


def prepare(folder: str, extras: Sequence[str] = (), *, copied: bool = False) -> str:
    """Make the environment `folder` unless it is there, and return its interpreter.

    The package is installed with its `extras`. It stays in the checkout unless
    `copied`: then the environment works where the checkout cannot be read.
    """
    wanted = {"origin": _origin(folder, copied=copied), "extras": sorted(extras)}
    python = os.path.join(folder, "bin", "python")
    stamp = os.path.join(folder, "installed.json")
    found = _read_stamp(stamp)
    if found["origin"] == wanted["origin"] and set(extras) <= set(found["extras"]):
        return python
    _require_venv_module()
    if not _is_usable(python, folder):
        with step(f"making {os.path.relpath(folder)} with {sys.executable}"):
            shutil.rmtree(folder, ignore_errors=True)
            call([sys.executable, "-m", "venv", folder])
    with step("installing from constraints.txt (a minute or so the first time)"):
        _install(python, extras, copied=copied)
    with open(stamp, "w", encoding="utf-8") as file:
        json.dump(wanted, file)
    return python


def _install(python: str, extras: Sequence[str], *, copied: bool) -> None:
    pip = [python, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "install"]
    pip += ["--constraint", os.path.join(CHECKOUT, "constraints.txt")]
    # The build backend comes from constraints.txt like everything else, which
    # pip would not see to in a build environment of its own.
    call([*pip, "hatchling", "editables"])
    package = CHECKOUT + (f"[{','.join(extras)}]" if extras else "")
    how = ["--force-reinstall"] if copied else ["--editable"]
    call([*pip, "--no-build-isolation", *how, package])


def _origin(folder: str, *, copied: bool) -> str:
    """Return a digest of all that decides what an environment holds."""
    digest = hashlib.sha256(f"{os.path.abspath(folder)} {sys.version} {copied}".encode())
    paths = [os.path.join(CHECKOUT, name) for name in ("pyproject.toml", "constraints.txt")]
    if copied:
        for parent, _, names in os.walk(os.path.join(CHECKOUT, "src")):
            paths += [os.path.join(parent, name) for name in names if name.endswith(".py")]
    for path in sorted(paths):
        with open(path, "rb") as file:
            digest.update(path.encode() + file.read())
    return digest.hexdigest()


def _read_stamp(path: str) -> dict[str, object]:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return {"origin": "", "extras": []}


def _is_usable(python: str, folder: str) -> bool:
    """Ask whether `folder` holds an environment that was made there, by a Python like this one."""
    question = "import sys; print(sys.version_info[:2], sys.prefix); import pip"
    try:
        answer = subprocess.run(
            [python, "-c", question], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    try:
        with open(os.path.join(folder, "bin", "pip"), encoding="utf-8") as file:
            made_here = file.readline().startswith(f"#!{python}")  # or python3, as venv calls it
    except OSError:
        return False
    return made_here and answer.stdout.strip() == f"{sys.version_info[:2]} {folder}"


def _require_venv_module() -> None:
    if _has_pip_to_give():
        return
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    package = f"python{version}-venv"
    if not can_use_apt():
        sys.exit(f"pyqmail needs Python's venv module (on Debian: apt install {package})")
    install_packages([package])


def _has_pip_to_give() -> bool:
    """Ask whether this Python can put pip into an environment; Debian packs that apart."""
    argv = [sys.executable, "-c", "from ensurepip import version; version()"]
    return subprocess.run(argv, check=False, stderr=subprocess.DEVNULL).returncode == 0


def can_use_apt() -> bool:
    """Ask whether this is root on a machine with Debian's package tools."""
    return os.getuid() == 0 and shutil.which("apt-get") is not None


def install_packages(names: Sequence[str]) -> None:
    """Install Debian packages; the caller has asked `can_use_apt()`."""
    with step(f"installing {' '.join(names)} with apt-get"):
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        call(["apt-get", "update", "-qq"], env=environ)
        options = ["-qq", "-y", "--no-install-recommends"]
        with _services_at_rest():
            call(["apt-get", "install", *options, *names], env=environ, stdout=subprocess.DEVNULL)


@contextmanager
def _services_at_rest() -> Iterator[None]:
    """Keep packages from starting the daemons they bring: tests start what they need."""
    try:
        with open(POLICY, "x", encoding="ascii") as file:
            file.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield  # the machine has a policy of its own
        return
    try:
        os.chmod(POLICY, 0o755)
        yield
    finally:
        os.unlink(POLICY)


def call(argv: Sequence[str], **options: object) -> None:
    """Run a command; if it fails, end with its name (it has said why)."""
    code = subprocess.run(argv, check=False, **options).returncode
    if code != 0:
        sys.exit(f"failed with exit code {code}: {' '.join(argv)}")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    print(f"· {what}", end=" ", flush=True)
    start = time.monotonic()
    yield
    print(f"({time.monotonic() - start:.1f} s)", flush=True)
