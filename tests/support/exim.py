"""Exim, unpacked into a folder and run from there as an ordinary user.

It looks for the account Debian-exim before it reads its configuration. A library that
answers such questions from a file tells it that this is nobody.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tests.support.children import NOBODY
from tests.support.daemons import daemon
from tests.support.receivers import HOME_DOMAIN, LOGIN, MAX_RECIPIENTS, MAX_SIZE, PASSWORD, Receiver
from tests.support.unpacked import require_libraries, unpack

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.certificates import Authority

PACKAGES = ("exim4-daemon-light", "libnss-wrapper")
ACCOUNTS = {
    "NSS_WRAPPER_PASSWD": "{name}:x:{uid}:{gid}::/:/bin/false\n",
    "NSS_WRAPPER_GROUP": "{name}:x:{gid}:\n",
}
CONFIGURATION = """\
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
exim_path = {program}
exim_user = Debian-exim
exim_group = Debian-exim
deliver_drop_privilege = true
never_users =
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%slog
pid_file_path = {folder}/pid
primary_hostname = exim.example
local_interfaces = 127.0.0.1
daemon_smtp_ports = {all_ports}
domainlist ours = *.exim.example
message_size_limit = {size}
recipients_max = {max_recipients}
smtp_accept_max_per_connection = 7
smtp_accept_max_per_host = ${{if eq{{$interface_port}}{{{ports[crowded]}}}{{8}}{{0}}}}
smtputf8_advertise_hosts = ${{if eq{{$received_port}}{{{ports[bare]}}}{{}}{{*}}}}
pipelining_advertise_hosts = ${{if eq{{$received_port}}{{{ports[bare]}}}{{}}{{*}}}}
dsn_advertise_hosts = ${{if eq{{$received_port}}{{{ports[bare]}}}{{}}{{*}}}}
tls_advertise_hosts = ${{if inlist{{$received_port}}{{{without_tls}}}{{}}{{*}}}}
log_selector = +received_recipients
tls_certificate = {certificate}
tls_verify_certificates = {folder}/ca.pem
tls_try_verify_hosts = *
auth_advertise_hosts = *
acl_smtp_rcpt = recipient

begin acl
recipient:
  defer
    local_parts = grey
    condition = ${{if exists{{{folder}/seen}}{{no}}{{yes}}}}
    set acl_c_now = ${{run{{/usr/bin/touch {folder}/seen}}}}
    message = Greylisted, come back later
  accept
    domains = +ours
    local_parts = joe : ann : grey : late : j\\xc3\\xb6rg : ^r[0-9]
  deny
    domains = +ours
    message = no such mailbox here
  accept
    authenticated = *
  deny
    message = relay not permitted

begin routers
home:
  driver = manualroute
  domains = {home}
  route_list = * 127.0.0.1
  self = send
  transport = back
late:
  driver = redirect
  local_parts = late
  allow_fail
  data = :fail: no such mailbox any more
all:
  driver = accept
  transport = maildir

begin transports
back:
  driver = smtp
  port = {way_back}
  allow_localhost
maildir:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  envelope_to_add
  return_path_add
  user = Debian-exim
  group = Debian-exim

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{login}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{login}}}{{{password}}}fail}}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""


class Exim(Receiver):
    """Give it a folder of its own; unpacks Exim there, or skips the test."""

    name = "exim"
    variants = ("plain", "tls", "bare", "crowded", "relay", "mended")

    def __init__(self, folder: Path, authority: Authority, way_back: int) -> None:
        super().__init__(folder, authority, way_back)
        self._root = unpack(PACKAGES[0], folder, *PACKAGES[1:])
        self._program = self._root / "usr/sbin/exim4"
        require_libraries(self._program)
        # As anybody's but a plain program it would not be told about accounts.
        self._program.chmod(0o755)
        for name in ("spool", "mail"):
            (folder / name).mkdir()
        text = CONFIGURATION.format(
            folder=folder, ports=self.ports, certificate=self.certificate, size=MAX_SIZE,
            max_recipients=MAX_RECIPIENTS, login=LOGIN, password=PASSWORD,
            program=self._program, home=HOME_DOMAIN, way_back=self.way_back,
            without_tls=":".join(str(self.ports[name]) for name in ("plain", "bare", "crowded")),
            all_ports=" : ".join(map(str, self.ports.values())),
        )  # fmt: skip
        (folder / "conf").write_text(text)
        (folder / "ca.pem").write_text(authority.certificate())
        self.give_away(folder, folder / "spool", folder / "mail", self.certificate)

    def start(self) -> AbstractContextManager[object]:
        argv = [str(self._program), "-C", str(self.folder / "conf"), "-bdf", "-q1h"]
        ports = list(self.ports.values())
        return daemon(argv, ports, self.folder / "log", **self._options())

    def log(self) -> str:
        return (self.folder / "spool/mainlog").read_text(errors="replace")

    def _options(self) -> dict[str, Any]:
        uid, gid = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
        (library,) = self._root.glob("usr/lib/*/libnss_wrapper.so")
        environ = {"LD_PRELOAD": str(library)}
        for variable, line in ACCOUNTS.items():
            path = self.folder / variable
            path.write_text(line.format(name="Debian-exim", uid=uid, gid=gid))
            environ[variable] = str(path)
        return {"env": environ, "user": uid, "group": gid} if os.getuid() == 0 else {"env": environ}
