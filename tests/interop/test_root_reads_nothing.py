"""qmail-lspawn runs as root, and opens no file of any user: its worker does, as that user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support import chaos
from tests.support.launchers import PACKAGE
from tests.support.system_home import PREFIX, SystemHome, why_not

from pyqmail.home.launchers import interpreter, library_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.process,
    pytest.mark.root,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("system home: root"),
]

# In the place of qmail-lspawn: the same code, but whatever root opens is written down.
SPY = """\
#!{interpreter} -IS
import os, sys
busy = False
def spy(event, arguments):
    global busy
    if event in ("open", "os.listdir", "os.scandir", "os.chdir") and not busy and not os.geteuid():
        busy = True
        with open({log!r}, "a") as log:
            log.write(f"{{event}} {{arguments[0]!r}}\\n")
        busy = False
sys.addaudithook(spy)
sys.path += {folders!r}
from pyqmail.programs.qmail_lspawn import main
main()
"""


@pytest.fixture
def home() -> Iterator[SystemHome]:
    with SystemHome("aku") as home:
        yield home


def test_root_opens_nothing_in_the_home_of_a_user(home: SystemHome) -> None:
    log, folder = f"{home.top}/opened", home.home_of("aku")
    home.as_user("aku", "maildirmake", "Maildir")
    home.write("control/defaultdelivery", "./Maildir/\n")
    home.write("control/concurrencylocal", "1\n")
    for name, text in ((".qmail-file", "./mbox\n"), (".qmail-program", "|cat > got\n")):
        with open(f"{folder}/{name}", "w", encoding="ascii") as file:
            file.write(text)
        os.chown(f"{folder}/{name}", home.account("aku").pw_uid, -1)
    os.unlink(f"{home.path}/bin/qmail-lspawn")
    folders = [os.path.dirname(PACKAGE), *library_folders()]
    home.write("bin/qmail-lspawn", SPY.format(interpreter=interpreter(), log=log, folders=folders))
    os.chmod(f"{home.path}/bin/qmail-lspawn", 0o755)
    # The spawner's environment has only PATH: the home is named to it here.
    with open(f"{home.path}/supervise/qmail-send/run", encoding="utf-8") as file:
        text = file.read()
    with open(f"{home.path}/supervise/qmail-send/run", "w", encoding="utf-8") as file:
        file.write(text.replace("exec env - ", f"exec env - QMAILHOME={home.path} "))
    assert home.run("qmailctl", "start").returncode == 0

    for extension in ("", "-file", "-program"):
        to = f"{PREFIX}aku{extension}"
        assert (
            home.run("qmail-inject", to, text="subject: letter 1\n\n", user="aku").returncode == 0
        )
    home.wait(
        lambda: (
            chaos.letters_of(home, "aku") == [1]
            and os.path.exists(f"{folder}/mbox")
            and os.path.exists(f"{folder}/got")
        ),
        "not all arrived",
    )
    assert home.run("qmailctl", "stop").returncode == 0

    with open(log, encoding="utf-8") as file:
        opened = file.read().splitlines()
    assert any("queue/mess" in line or "/mess" in line for line in opened)  # it was watched
    assert [line for line in opened if folder in line] == []
