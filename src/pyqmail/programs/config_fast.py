"""config-fast - write the first control files. See config-fast(8).

Runs as root, or as the owner of a private home; touches control/.
"""

from __future__ import annotations

import os

from pyqmail.control.roles import leave_root
from pyqmail.errors import SUCCESS, PermanentFailure
from pyqmail.home import configuration
from pyqmail.programs.run import home_of, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `config-fast`."""
    run("config-fast", configure)


def configure(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Write control files for the host that the one argument names."""
    if len(arguments) != 1:
        raise PermanentFailure(b"usage: config-fast the.full.name.of.this.host")
    host = arguments[0]
    configuration.require_host(host)
    home = home_of(environ)
    leave_root(home)
    name = os.fsdecode(host)
    print(f"Your fully qualified host name is {name}.")
    write_names(home, host)
    for control in ("locals", "rcpthosts"):
        print(f"Putting {name} into control/{control}...")
        configuration.add_entry(home, control, host)
    print(f"Now qmail will refuse to accept SMTP messages except to {name}.")
    print("Make sure to change rcpthosts if you add hosts to locals or virtualdomains!")
    return SUCCESS


def write_names(home: str, host: bytes) -> None:
    """Write me, defaultdomain and plusdomain for `host`, and say so."""
    lines = (
        ("me", host),
        ("defaultdomain", configuration.default_domain(host)),
        ("plusdomain", configuration.plus_domain(host)),
    )
    for control, line in lines:
        print(f"Putting {os.fsdecode(line)} into control/{control}...")
        configuration.write_line(home, control, line)
