"""config-fast - write the first control files. See config-fast(8).

Runs as root, or as the owner of a private home; touches control/.
"""

from __future__ import annotations

import os

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
    if len(arguments) != 1 or not arguments[0]:
        raise PermanentFailure(b"usage: config-fast the.full.name.of.this.host")
    write_controls(home_of(environ), arguments[0])
    return SUCCESS


def write_controls(home: str, host: bytes) -> None:
    """Write the five files and say so."""
    name = os.fsdecode(host)
    domain = configuration.default_domain(host)
    plus = configuration.plus_domain(host)
    print(f"Your fully qualified host name is {name}.")
    for control, line in ((b"me", host), (b"defaultdomain", domain), (b"plusdomain", plus)):
        print(f"Putting {os.fsdecode(line)} into control/{control.decode()}...")
        configuration.write_line(home, control.decode(), line)
    for control in (b"locals", b"rcpthosts"):
        print(f"Putting {name} into control/{control.decode()}...")
        configuration.add_entry(home, control.decode(), host)
    print("Now qmail will refuse to accept SMTP messages except to those hosts.")
    print("Make sure to change rcpthosts if you add hosts to locals or virtualdomains!")
