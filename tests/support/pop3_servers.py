"""Dovecot's and Courier's POP3 servers, unpacked from Debian's packages, for comparisons.

Both check the passwords of the machine's accounts, as Debian sets them up. Root only.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.unpacked import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 20
COURIER_PACKAGES = ("courier-pop", "courier-base", "courier-authlib", "libcourier-unicode4")
AUTHDAEMON = """\
authmodulelist="authpam"
authmodulelistorig="authpam"
daemons=5
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""
DOVECOT = """\
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/log
protocols = pop3
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:~/Maildir
default_login_user = nobody
default_internal_user = nobody
first_valid_uid = 100
first_valid_gid = 100
mail_max_userip_connections = 1000
default_process_limit = 1000
passdb {{
  driver = shadow
}}
userdb {{
  driver = passwd
}}
service pop3-login {{
  executable = {root}/usr/lib/dovecot/pop3-login
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service pop3 {{
  executable = {root}/usr/lib/dovecot/pop3
}}
"""


def why_not() -> str | None:
    """Return why they cannot run here; None if they can."""
    if os.getuid() != 0:
        return "needs root: sessions become their users"
    if shutil.which("dovecot") is None:
        return "needs dovecot (Debian: dovecot-core)"
    return None


@contextmanager
def dovecot(top: Path) -> Iterator[int]:
    """Have Dovecot run; give its port."""
    root = unpack("dovecot-pop3d", top)
    folder = top / "dovecot"
    folder.mkdir()
    port = free_port()
    configuration = folder / "dovecot.conf"
    configuration.write_text(DOVECOT.format(top=folder, root=root, port=port))
    with _running(["dovecot", "-F", "-c", str(configuration)], {}, port):
        yield port


@contextmanager
def courier(top: Path) -> Iterator[int]:
    """Have Courier run; give its port. Its places below /etc and /run are compiled in."""
    roots = [unpack(package, top) for package in COURIER_PACKAGES]
    pop, base, authlib, _ = (str(root) for root in roots)
    libraries = [f"{root}/usr/lib{more}" for root in roots for more in ("", "/x86_64-linux-gnu")]
    environ = {"LD_LIBRARY_PATH": ":".join([*libraries, f"{authlib}/usr/lib/courier-authlib"])}
    port = free_port()
    program = f"{pop}/usr/lib/courier/courier"
    listen = ["-address=127.0.0.1", "-maxprocs=1000", "-maxperip=1000", "-nodnslookup"]
    serve = [f"{base}/usr/sbin/couriertcpd", *listen, "-noidentlookup", str(port)]
    serve += [f"{program}/courierpop3login", f"{program}/courierpop3d", "Maildir"]
    with _courier_places() as places:
        daemon = f"{authlib}/usr/lib/courier/courier-authlib/authdaemond"
        with _running([daemon], environ, f"{places}/socket"), _running(serve, environ, port):
            yield port


@contextmanager
def _courier_places() -> Iterator[str]:
    folders = ("/etc/courier", "/run/courier")
    assert not any(map(os.path.exists, folders)), "a Courier of this machine is in the way"
    try:
        os.mkdir(folders[0])
        os.makedirs("/run/courier/authdaemon")
        with open("/etc/courier/authdaemonrc", "w", encoding="ascii") as file:
            file.write(AUTHDAEMON)
        yield "/run/courier/authdaemon"
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(argv: list[str], environ: dict[str, str], place: int | str) -> Iterator[None]:
    """Have a server run, from when it listens at a port or path."""
    server = subprocess.Popen(
        argv,
        env={"PATH": os.defpath + ":/usr/sbin", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not _listens(place):
            assert server.poll() is None, f"{argv[0]} ended with {server.returncode}"
            assert time.monotonic() < deadline, f"{argv[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _listens(place: int | str) -> bool:
    family = socket.AF_INET if isinstance(place, int) else socket.AF_UNIX
    address = ("127.0.0.1", place) if isinstance(place, int) else place
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


def free_port() -> int:
    """Return a port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
