"""What starts a system home at boot: service folders for svscan, units, init scripts.

All is written into the home; the administrator links or copies what his
machine starts services with. What is there stays, so it may be edited.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERVISE: Final = "supervise"  # as in Life with qmail
SEND: Final = "qmail-send"
SMTPD: Final = "qmail-smtpd"
RULES: Final = "tcp.smtp"

_FOLDERS: Final = (
    SUPERVISE,
    *(f"{SUPERVISE}/{name}{log}" for name in (SEND, SMTPD) for log in ("", "/log", "/log/main")),
    "services",
    "services/systemd",
    "services/openrc",
    "services/init.d",
)
LOG_FOLDERS: Final = tuple(name for name in _FOLDERS if name.endswith("/main"))
_PROGRAM: Final = 0o755
_TEXT: Final = 0o644

_RULES: Final = """\
127.:allow,RELAYCLIENT=""
::1:allow,RELAYCLIENT=""
:allow
"""

_SEND_RUN: Final = """\
#!/bin/sh
# Starts delivery: by rc, be it a script or a folder of them, else by control/defaultdelivery.
cd {home} || exit 111
test -f rc -a -x rc && exec ./rc
for script in rc/home rc/home+df rc/*; do
    test -f "$script" -a -x "$script" && exec "./$script"
done
delivery=`cat control/defaultdelivery 2>/dev/null`
exec env - PATH={home}/bin:/usr/local/bin:/usr/bin:/bin \\
qmail-start "${{delivery:-./Mailbox}}" 2>&1
"""

_SMTPD_RUN: Final = """\
#!/bin/sh
# Takes mail from the network. Rules: /etc/tcp.smtp.cdb, else tcp.smtp.cdb of the home.
exec 2>&1
cd {home} || exit 111
QMAILHOME={home} PATH={home}/bin:/usr/local/bin:/usr/bin:/bin
export QMAILHOME PATH
if test ! -f control/rcpthosts; then
    echo "control/rcpthosts is missing: this host would relay for everybody"
    exit 111
fi
rules=/etc/tcp.smtp.cdb
test -f "$rules" || rules=tcp.smtp.cdb
read -r me < control/me
limit=`head -n 1 control/concurrencyincoming 2>/dev/null`
exec tcpserver -v -R -l "$me" -x "$rules" -c "${{limit:-100}}" \\
    -u {prefix}qmaild -g {prefix}nofiles 0 smtp qmail-smtpd
"""

_LOG_RUN: Final = """\
#!/bin/sh
exec setuidgid {prefix}qmaill multilog t ./main
"""

_UNIT: Final = """\
# Copy to /etc/systemd/system, then: systemctl enable --now {name}
[Unit]
Description={title}
After=network.target

[Service]
ExecStart={home}/supervise/{name}/run
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
# The main process ends in order, deliveries first; the others end with it.
KillMode=mixed
TimeoutStopSec=90
ProtectClock=yes
ProtectKernelModules=yes

[Install]
WantedBy=multi-user.target
"""

_OPENRC: Final = """\
#!/sbin/openrc-run
# Copy to /etc/init.d/qmail, then: rc-update add qmail default
description="The qmail family"
# openrc-run keeps the word pause for itself: it stops.
extra_started_commands="reload doqueue hold cont"
description_reload="Read control/locals and control/virtualdomains again"
description_doqueue="Try all messages now"
description_hold="Keep everything where it is: connections are taken, nothing moves"
description_cont="Go on after hold"

depend() {{
    use net dns logger
    provide mta
}}
start() {{
    {qmailctl} start
}}
stop() {{
    {qmailctl} stop
}}
status() {{
    {qmailctl} stat
    service_started || return 3
}}
reload() {{
    {qmailctl} reload
}}
doqueue() {{
    {qmailctl} doqueue
}}
hold() {{
    {qmailctl} pause
}}
cont() {{
    {qmailctl} cont
}}
"""

_INIT: Final = """\
#!/bin/sh
# Copy to /etc/init.d/qmail, and link it where the machine looks at boot.
### BEGIN INIT INFO
# Provides:          qmail mail-transport-agent
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Should-Start:      $syslog $named
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: the qmail family
### END INIT INFO
case "$1" in
start|stop|restart|reload|doqueue|stat|pause|cont|cdb|queue|help) exec {qmailctl} "$1" ;;
force-reload) exec {qmailctl} restart ;;
status) exec {qmailctl} stat ;;
*) echo "Usage: $0 {{start|stop|restart|reload|doqueue|stat|pause|cont|cdb|queue|help}}" >&2
   exit 100 ;;
esac
"""


def write_service_files(home: str, prefix: str) -> None:
    """Write what is not there yet."""
    for name in _FOLDERS:
        if not os.path.isdir(os.path.join(home, name)):
            files.make_directory(os.path.join(home, name), _PROGRAM)
    for name, text, mode in _texts(home, prefix):
        path = os.path.join(home, name)
        if not os.path.lexists(path):
            files.replace_durably(path, os.fsencode(text), mode)


def _texts(home: str, prefix: str) -> Iterator[tuple[str, str, int]]:
    """Yield name, text and mode of each file."""
    words = {"home": shlex.quote(home), "prefix": prefix}
    qmailctl = shlex.quote(f"{home}/bin/qmailctl")
    yield RULES, _RULES, _TEXT
    yield f"{SUPERVISE}/{SEND}/run", _SEND_RUN.format(**words), _PROGRAM
    yield f"{SUPERVISE}/{SMTPD}/run", _SMTPD_RUN.format(**words), _PROGRAM
    for name, title in ((SEND, "qmail: delivery of mail"), (SMTPD, "qmail: mail from the network")):
        yield f"{SUPERVISE}/{name}/log/run", _LOG_RUN.format(**words), _PROGRAM
        unit = _UNIT.format(name=name, title=title, home=home.replace("%", "%%"))
        yield f"services/systemd/{name}.service", unit, _TEXT
    yield "services/openrc/qmail", _OPENRC.format(qmailctl=qmailctl), _PROGRAM
    yield "services/init.d/qmail", _INIT.format(qmailctl=qmailctl), _PROGRAM


def texts(home: str, prefix: str) -> dict[str, bytes]:
    """Return what `write_service_files()` writes, by the names below the home."""
    return {name: os.fsencode(text) for name, text, _ in _texts(home, prefix)}


def folders() -> Iterator[str]:
    """Yield its folders, parents first."""
    yield from _FOLDERS
