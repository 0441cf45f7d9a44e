"""The script for OpenRC, run by Debian's openrc-run in a copy of this file system."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.support.system_home import PREFIX, SystemHome, why_not
from tests.support.unpacked import unpack

if TYPE_CHECKING:
    from pathlib import Path

# In name spaces of its own: what is written goes to memory, what is started ends with it, and
# nobody has the port of SMTP.
COPY = """
set -e
mount -t tmpfs none {top}/changes
mkdir {top}/changes/upper {top}/changes/work
mount -t overlay none {top}/root \\
    -o lowerdir=/,upperdir={top}/changes/upper,workdir={top}/changes/work
mount -t proc none {top}/root/proc
mount --bind /dev {top}/root/dev
cd {top}/root
mkdir -p usr/lib/rc run/openrc
cp -a {package}/lib/rc/. usr/lib/rc
cp {package}/sbin/openrc-run usr/sbin
cp -a {package}/lib/*/lib*.so* usr/lib
touch run/openrc/softlevel
ldconfig -r .
cp {home}/services/openrc/qmail etc/init.d/qmail
exec chroot . sh -c {commands}
"""
COMMANDS = """
export PATH=/usr/sbin:/usr/bin:/sbin:/bin EINFO_COLOR=no
for verb in describe start status doqueue hold cont reload; do
    echo "= $verb"
    /etc/init.d/qmail $verb 2>&1 || echo "failed with $?"
done
echo "to: {user}" | USER={user} {home}/bin/qmail-inject
n=0; until test -s {mailbox} -o $n = 100; do sleep 0.1; n=$((n + 1)); done
grep Delivered-To: {mailbox}
for verb in restart status stop status; do
    echo "= $verb"
    /etc/init.d/qmail $verb 2>&1 || echo "failed with $?"
done
"""


def reason() -> str | None:
    """Return why this cannot be tried here."""
    missing = [name for name in ("unshare", "chroot", "ldconfig") if shutil.which(name) is None]
    return why_not() or (f"needs {', '.join(missing)}" if missing else None)


@pytest.mark.process
@pytest.mark.root
@pytest.mark.peer
@pytest.mark.xdist_group("system home: openrc")
@pytest.mark.skipif(reason() is not None, reason=str(reason()))
def test_openrc_starts_asks_and_stops_a_home_by_its_script(tmp_path: Path) -> None:
    package = unpack("openrc", tmp_path, "librc1", "libeinfo1")
    for name in ("root", "changes"):
        (tmp_path / name).mkdir()
    with SystemHome("aku") as home:
        user = f"{PREFIX}aku"
        commands = COMMANDS.format(
            user=user, home=home.path, mailbox=f"{home.home_of('aku')}/Mailbox"
        )
        script = COPY.format(
            top=tmp_path, package=package, home=home.path, commands=shlex.quote(commands)
        )
        argv = [
            "unshare",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            script,
        ]

        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=100)

    # Of a verb that comes twice, the last answer stays.
    said = dict(part.split("\n", 1) for part in done.stdout.split("= ")[1:])
    verbs = re.findall(r"^ \* (\w+): [A-Z]", said["describe"], re.MULTILINE)
    assert {"reload", "hold", "cont", "doqueue"} <= set(verbs)
    started = said["start"].partition("Starting qmail\n")[2]
    assert started.split()[:2] == ["qmail-send", "qmail-smtpd"]
    assert "ALRM signal to qmail-send" in said["doqueue"]
    assert "HUP signal to qmail-send" in said["reload"]
    assert f"Delivered-To: {user}@mail.example.org" in said["reload"]  # the last before the letter
    assert said["restart"].count("  qmail-send") == 2
    # The last look: it is down, and the script says so to who only hears numbers.
    assert "qmail-send: down" in said["status"]
    assert "failed with 3" in said["status"]
    assert done.stdout.count("failed with") == 1, (done.stdout, done.stderr)
