"""config - write the first control files from what the DNS says. See config(8).

Runs as root, or as the owner of a private home; touches control/.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from pyqmail.errors import SUCCESS, TransientFailure
from pyqmail.programs.config_fast import write_controls
from pyqmail.programs.run import home_of, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `config`."""
    run("config", configure)


def configure(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Find the full name of this host by its address, and write control files for it."""
    name = socket.gethostname().lower()
    print(f"Your hostname is {name}.")
    try:
        address = socket.getaddrinfo(name, None)[0][4][0]
        full_name = socket.gethostbyaddr(str(address))[0].lower()
    except OSError as error:
        raise TransientFailure(_advice(name, str(error))) from error
    if "." not in full_name:
        raise TransientFailure(_advice(name, f"its address leads back to {full_name}"))
    write_controls(home_of(environ), full_name.encode("ascii"))
    return SUCCESS


def _advice(name: str, reason: str) -> bytes:
    # The original apologises and exits 0, and people wonder why nothing is configured.
    return os.fsencode(
        f"no full name for {name} in the DNS ({reason}): run config-fast the.full.name instead"
    )
