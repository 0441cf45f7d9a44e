"""The Debian package is built, installed, used and removed, in a copy of this file system."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BUILDER = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "debian.py")

# In a mount namespace: what is written goes to memory, and is gone at the end.
INSTALL = """
set -e
mount -t tmpfs none {top}/changes
mkdir {top}/changes/upper {top}/changes/work
mount -t overlay none {top}/root \\
    -o lowerdir=/,upperdir={top}/changes/upper,workdir={top}/changes/work
mount -t proc none {top}/root/proc
mount --bind /dev {top}/root/dev
mkdir -p {top}/root/package
cp {package} {top}/root/package/pyqmail.deb
exec chroot {top}/root sh -c '{commands}'
"""
COMMANDS = """
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
rm -rf /var/qmail
dpkg --install /package/pyqmail.deb
qmailctl setup --system --host mail.example.org --prefix pkg
getent passwd pkgqmails
man --where qmailctl
ls /var/qmail/man/man8/qmail-send.8 /var/qmail/doc/tutorial.md
useradd --create-home pkgaku
/var/qmail/bin/qmailctl start
echo to: pkgaku | USER=pkgaku /var/qmail/bin/qmail-inject
n=0; until test -s /home/pkgaku/Mailbox -o $n = 100; do sleep 0.2; n=$((n + 1)); done
grep Delivered-To: /home/pkgaku/Mailbox
dpkg --remove pyqmail
ls /var/qmail
"""


def reason() -> str | None:
    """Return why this cannot be tried here."""
    if os.getuid() != 0:
        return "needs root, to install a package"
    missing = [name for name in ("dpkg-deb", "unshare", "useradd") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    if importlib.util.find_spec("sphinx") is None:
        return "needs sphinx, which builds the man pages"
    if sys.version_info[:2] != (3, 11) or not os.path.exists("/usr/bin/python3.11"):
        return "needs Debian's own Python in the version of the tests"
    return None


@pytest.mark.process
@pytest.mark.root
@pytest.mark.peer
@pytest.mark.timeout(300)
@pytest.mark.skipif(reason() is not None, reason=str(reason()))
def test_the_package_is_installed_delivers_mail_and_leaves_the_queue(tmp_path: Path) -> None:
    for name in ("root", "changes"):
        (tmp_path / name).mkdir()
    subprocess.run([sys.executable, BUILDER, tmp_path], check=True, capture_output=True)
    (package,) = tmp_path.glob("pyqmail_*.deb")
    script = INSTALL.format(top=tmp_path, package=package, commands=COMMANDS)

    # In a process name space, too: what is started there ends with it.
    argv = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=200)

    said = done.stdout
    assert done.returncode == 0, (said, done.stderr)
    assert "made account or group pkgqmails" in said
    assert "Delivered-To: pkgaku@mail.example.org" in said
    assert "/usr/share/man/man8/qmailctl.8.gz" in said
    left = said.rpartition("Removing pyqmail")[2].split()
    assert {"alias", "control", "queue", "users"} <= set(left)
    assert "bin" not in left
