"""The scripts in boot: each starts the whole server with another default delivery.

One of them is copied to rc, the script that starts this home.
"""

from __future__ import annotations

import os
import shlex
from typing import Final

from pyqmail.system import files

MAILBOX: Final = "./Mailbox"  # what rc and `qmailctl run` begin with

_MODE: Final = 0o755
_DOT_FORWARD: Final = "|dot-forward .forward"
_SENDER: Final = '"${SENDER:-MAILER-DAEMON}" -d "$USER"'

_DELIVERIES: Final = {
    "home": MAILBOX,
    "proc": "|preline procmail",
    "binm1": f"|preline -f /usr/libexec/mail.local -r {_SENDER}",  # 4.4BSD
    "binm2": f"|preline -f /bin/mail -r {_SENDER}",  # System V release 4
    "binm3": f"|preline -f /bin/mail -f {_SENDER}",  # Version 7
}


def write_boot_scripts(home: str) -> None:
    """Write the scripts of boot that are not there yet."""
    for name, text in scripts(home).items():
        path = os.path.join(home, name)
        if not os.path.lexists(path):
            files.replace_durably(path, text, _MODE)


def scripts(home: str) -> dict[str, bytes]:
    """Return the scripts of boot by their names below the home."""
    texts = {}
    for name, delivery in _DELIVERIES.items():
        texts[f"boot/{name}"] = boot_script(home, delivery)
        texts[f"boot/{name}+df"] = boot_script(home, f"{_DOT_FORWARD}\n{delivery}")
    return texts


def write_rc(home: str) -> None:
    """Write the script that starts a private home, unless it is there.

    In a system home the administrator copies one of boot, as ever; some make a folder of it.
    """
    path = os.path.join(home, "rc")
    if not os.path.lexists(path):
        files.replace_durably(path, boot_script(home, MAILBOX), _MODE)


def boot_script(home: str, delivery: str) -> bytes:
    """Return a script that starts the server of `home` and logs through splogger."""
    return os.fsencode(
        "#!/bin/sh\n"
        "# env - because all that is in the environment here reaches users' programs.\n"
        f'exec env - PATH={shlex.quote(home + "/bin")}:"$PATH" \\\n'
        f"qmail-start {shlex.quote(delivery)} splogger qmail\n"
    )
