"""Build a Debian package of pyqmail and all it needs: `.venv/bin/python tools/debian.py FOLDER`.

It holds the package and its libraries in /usr/lib/pyqmail, as they are installed in
this environment, the command qmailctl, man pages and texts. It makes no accounts
and starts nothing: that is `qmailctl setup --system`.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = "usr/lib/pyqmail"
NAME = re.compile(r"[A-Za-z0-9._-]+")
OF_THE_ENVIRONMENT = ("pip", "setuptools")

COMMAND = """\
#!/usr/bin/python3 -IS
import sys
sys.path.append("/usr/lib/pyqmail")
from pyqmail.programs.qmailctl import main
main()
"""

CONTROL = """\
Package: pyqmail
Version: {version}
Architecture: {architecture}
Maintainer: The pyqmail authors <postmaster@localhost>
Section: mail
Priority: optional
Installed-Size: {size}
Depends: python3 (>= {python}), python3 (<< {next_python}), passwd
Suggests: daemontools, csh, procmail
Description: the qmail family in Python
 A mail server made of small programs that keep the names, arguments, files
 and log lines of qmail's. After installation, `qmailctl setup --system --host
 NAME` makes the accounts and /var/qmail; nothing is started before that.
"""

# Mail, queue and configuration stay; what ran would not find its programs any more.
PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -x /var/qmail/bin/qmailctl ]; then
    /var/qmail/bin/qmailctl stop --home /var/qmail || true
    /var/qmail/bin/qmailctl setup --uninstall --home /var/qmail || true
fi
exit 0
"""


def main() -> None:
    """Build the package and print its path."""
    target = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(CHECKOUT, "dist"))
    os.makedirs(target, exist_ok=True)
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="debian.") as top:
        os.chmod(top, 0o755)
        fill(top)
        write_control(top)
        # gzip: what is in it is small, and built more often than it is copied.
        argv = ["dpkg-deb", "-Zgzip", "--build", "--root-owner-group", top, target]
        subprocess.run(argv, check=True)


def fill(top: str) -> None:
    """Lay everything below `top` as it will lie below /."""
    library = os.path.join(top, LIBRARY)
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(os.path.join(CHECKOUT, "src/pyqmail"), f"{library}/pyqmail", ignore=skip)
    for name in sorted(needed("pyqmail")):
        copy_distribution(name, library)
    write(f"{top}/usr/bin/qmailctl", COMMAND, 0o755)
    copy_texts(f"{library}/doc")
    build_pages(f"{library}/man")
    # The other pages would be in the way of packages of the originals; /var/qmail/man has them.
    os.makedirs(f"{top}/usr/share/man/man8")
    with (
        open(f"{library}/man/qmailctl.8", "rb") as page,
        gzip.open(f"{top}/usr/share/man/man8/qmailctl.8.gz", "wb") as packed,
    ):
        packed.write(page.read())
    os.makedirs(f"{top}/usr/share/doc/pyqmail")
    shutil.copy(os.path.join(CHECKOUT, "LICENSE"), f"{top}/usr/share/doc/pyqmail/copyright")


def needed(name: str) -> set[str]:
    """Return the libraries that are installed because `name` needs them."""
    found: set[str] = set()
    names = [name]
    while names:
        name = names.pop()
        for line in distribution(name).requires or ():
            required = NAME.match(line)[0]
            if "extra ==" in line or required in found or not is_installed(required):
                continue
            found.add(required)
            names.append(required)
    return found


def is_installed(name: str) -> bool:
    """Ask whether a library is there; what is for other systems is not."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return name not in OF_THE_ENVIRONMENT


def copy_distribution(name: str, library: str) -> None:
    """Copy the files of one library, but the commands that it has."""
    for file in distribution(name).files or ():
        if file.parts[0] == ".." or "__pycache__" in file.parts:
            continue
        target = os.path.join(library, file)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(file.locate(), target)


def copy_texts(folder: str) -> None:
    """Copy the documents."""
    os.makedirs(folder)
    for name in os.listdir(os.path.join(CHECKOUT, "docs")):
        if name.endswith(".md"):
            shutil.copy(os.path.join(CHECKOUT, "docs", name), folder)


def build_pages(folder: str) -> None:
    """Build the man pages, in the environment that has what it takes."""
    build = os.path.join(os.path.dirname(sys.executable), "sphinx-build")
    with tempfile.TemporaryDirectory(prefix="pages.") as trees:
        argv = [build, "-q", "-b", "man", "-d", trees, os.path.join(CHECKOUT, "docs"), folder]
        subprocess.run(argv, check=True)
    for name in os.listdir(folder):
        if not name[-1].isdigit():
            path = os.path.join(folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def write_control(top: str) -> None:
    """Write what dpkg reads."""
    major, minor = sys.version_info[:2]
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    text = CONTROL.format(
        version=distribution("pyqmail").version,
        architecture=architecture,
        size=sum(map(os.path.getsize, files_below(top))) // 1024,
        python=f"{major}.{minor}",
        next_python=f"{major}.{minor + 1}",
    )
    write(f"{top}/DEBIAN/control", text, 0o644)
    write(f"{top}/DEBIAN/prerm", PRERM, 0o755)


def files_below(top: str) -> Iterator[str]:
    """Yield the paths of all files."""
    for folder, _, names in os.walk(top):
        yield from (os.path.join(folder, name) for name in names)


def write(path: str, text: str, mode: int) -> None:
    """Make a file, with the folders above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


if __name__ == "__main__":
    main()
