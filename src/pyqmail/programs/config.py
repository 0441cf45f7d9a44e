"""config - write the first control files from what the DNS says. See config(8).

Runs as root, or as the owner of a private home; asks the resolver, touches
control/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.control.roles import leave_root
from pyqmail.errors import SUCCESS, TransientFailure
from pyqmail.home import configuration
from pyqmail.programs.config_fast import write_names
from pyqmail.programs.run import home_of, run
from pyqmail.system import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `config`."""
    run("config", configure)


def configure(_arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Find the full name of this host and the names of its addresses; write control files."""
    home = home_of(environ)
    leave_root(home)
    host = _find_full_name()
    print(f"Your host's fully qualified name in DNS is {host}.")
    write_names(home, host.encode())
    print(" \nChecking local IP addresses:")
    hosts = _find_local_names(host)
    configuration.write_list(home, "locals", hosts)
    print(" \nIf there are any other domain names that point to you,")
    print(f"you will have to add them to {home}/control/locals.")
    print("You don't have to worry about aliases, i.e., domains with CNAME records.")
    print(f" \nCopying {home}/control/locals to {home}/control/rcpthosts...")
    configuration.write_list(home, "rcpthosts", hosts)
    print("Now qmail will refuse to accept SMTP messages except to those hosts.")
    print("Make sure to change rcpthosts if you add hosts to locals or virtualdomains!")
    return SUCCESS


def _find_full_name() -> str:
    """Return the name that the first address of this host leads back to."""
    short = names.host_name()
    print(f"Your hostname is {short}.")
    addresses = names.addresses_of(short)
    name = names.name_of(addresses[0]) if addresses else None
    if name is not None and "." in name:
        configuration.require_host(name.encode())
        return name
    # The original ends with 0 here, and people wonder why nothing is configured.
    print("Sorry, I couldn't find your host's canonical name in DNS.", flush=True)
    reason = f"{addresses[0]} leads to {name or 'no name'}" if addresses else "it has no address"
    raise TransientFailure(
        f"no full name for {short} ({reason}): run config-fast THE.FULL.NAME instead".encode()
    )


def _find_local_names(host: str) -> list[bytes]:
    """Return the names of all addresses of this host, and say of each what it is."""
    hosts: dict[bytes, None] = {}
    for address in sorted({*names.addresses_of(host), *names.own_addresses()}):
        name = names.name_of(address)
        if name is None:
            print(f"{address}: PTR lookup failed. I assume this address has no DNS name.")
        else:
            print(f"{address}: Adding {name} to control/locals...")
            hosts[name.encode()] = None
    return list(hosts)
