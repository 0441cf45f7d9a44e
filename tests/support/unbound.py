"""Unbound, a resolver of the world's, which believes one zone of ours and asks nobody else."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.children import NOBODY
from tests.support.daemons import daemon, free_port
from tests.support.dns_stub import SERVER_FAILURE
from tests.support.unpacked import require_libraries, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.dns_stub import Table

PACKAGE = "unbound"
CONFIGURATION = """\
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: yes
  do-daemonize: no
  module-config: "iterator"
auth-zone:
  name: "."
  zonefile: "{folder}/zone"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
"""
# Whom it should ask there, but it is not told to ask this machine.
BROKEN = """\
forward-zone:
  name: "{name}"
  forward-addr: 127.0.0.1
"""
HEAD = """\
. 300 IN SOA ns.example. hostmaster.example. 1 3600 600 86400 300
. 300 IN NS ns.example.
ns.example. 300 IN A 192.0.2.53
"""


@contextmanager
def unbound(folder: Path, table: Table) -> Iterator[int]:
    """Have it answer from `table`; give its port. Skips the test where it cannot be had."""
    root = unpack(PACKAGE, folder)
    program = root / "usr/sbin/unbound"
    require_libraries(program)
    broken = {name for (name, _), records in table.items() if records == [SERVER_FAILURE]}
    port = free_port()
    conf = CONFIGURATION.format(port=port, folder=folder)
    conf += "".join(BROKEN.format(name=name) for name in broken)
    (folder / "conf").write_text(conf)
    (folder / "zone").write_text(HEAD + _zone(table, broken))
    argv = [str(program), "-d", "-c", str(folder / "conf")]
    become = {"user": NOBODY, "group": NOBODY} if os.getuid() == 0 else {}
    with daemon(argv, [port], folder / "log", **become):
        yield port


def _zone(table: Table, broken: set[str]) -> str:
    return "".join(
        f"{name} 300 IN {kind} {record}\n"
        for (name, kind), records in table.items()
        for record in records
        if name not in broken
    )
