"""Virtual domains of users who are no accounts: control/virtualdomains and rcpthosts.

In a virtual domain mail for `budi` is mail for the local part `PREFIX-budi`, which
users/assign gives to somebody. The prefix of a new domain is its name; one that
the administrator has chosen stays.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyqmail.control.files import read_list, read_list_or_me
from pyqmail.control.maps import ColonMap, ConstantMap
from pyqmail.control.roles import roles_of
from pyqmail.errors import PermanentFailure
from pyqmail.home import configuration
from pyqmail.home.ownership import acting_as
from pyqmail.message.address import split_address
from pyqmail.system import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyqmail.system.accounts import Account

BREAK: Final = b"-"  # between a prefix or a user and what follows it

# RFC 5321 §4.5.1: wherever mail is taken for a domain, it is taken for its postmaster.
_POSTMASTER: Final = b"postmaster"
_TO_OURS: Final = b"&postmaster\n"
_FILE_MODE: Final = 0o644


def normal_name(home: str, name: bytes) -> bytes:
    """Return `name` as a user's name here: with @ and a domain if that is a virtual one.

    Raises PermanentFailure for what is no domain.
    """
    local, domain = split_address(name)
    if domain is None:
        return name
    configuration.require_host(domain)
    if domain in ConstantMap(read_list_or_me(home, "locals") or ()):
        return local
    if b"." not in domain:  # an incomplete address, surely
        raise PermanentFailure(b"not a name for a user: " + name + b": not a whole domain")
    return local + b"@" + domain.lower()


def prefix_for(home: str, address: bytes) -> bytes:
    """Return the prefix of the domain of `address`, whether it is one already or shall be.

    Raises PermanentFailure if control/virtualdomains has other plans for it.
    """
    table = ColonMap(read_list(home, "virtualdomains") or ())
    domain = address.rpartition(b"@")[2]
    if address in table:
        raise _taken(address, address + b":" + (table.get(address) or b""))
    prefix = table.get(domain)
    if prefix:
        return prefix
    if prefix is not None:
        raise _taken(domain, domain + b":")
    for key in (*_endings(domain), b""):
        wider = table.get(key)
        if wider is not None:
            if wider:
                raise _taken(domain, key + b":" + wider)
            break  # an exception from a wider rule still
    return domain


def _taken(what: bytes, line: bytes) -> PermanentFailure:
    return PermanentFailure(
        b"control/virtualdomains says where mail for " + what + b" goes, in the line " + line
    )


def _endings(domain: bytes) -> list[bytes]:
    dots = [position for position, byte in enumerate(domain) if byte == ord(".")]
    return [domain[position:] for position in dots]


def is_accepted(domain: bytes, hosts: ConstantMap) -> bool:
    """Ask whether a list as rcpthosts is has the domain, or a `.suffix` of it."""
    return domain in hosts or any(ending in hosts for ending in _endings(domain))


def open_domain(home: str, domain: bytes, prefix: bytes, tell: Callable[[], object]) -> None:
    """Let mail for `domain` come in, for users whose local parts begin with `prefix`.

    Mail from elsewhere is taken only when qmail-send, which is told with `tell`,
    can know what to do with it.
    """
    _give_postmaster(home, prefix)
    if domain not in ColonMap(read_list(home, "virtualdomains") or ()):
        configuration.add_entry(home, "virtualdomains", domain + b":" + prefix)
        tell()
    accepted = read_list(home, "rcpthosts")
    # Without the file every domain is accepted: one with a single line would close the others.
    if accepted is not None:
        more = read_list(home, "morercpthosts") or ()
        if not is_accepted(domain, ConstantMap([*accepted, *more])):
            configuration.add_entry(home, "rcpthosts", domain)


def close_domain(home: str, domain: bytes, tell: Callable[[], object]) -> None:
    """Take mail for `domain` no more; what was opened is closed in the other direction."""
    prefix = ColonMap(read_list(home, "virtualdomains") or ()).get(domain)
    configuration.remove_entries(home, "rcpthosts", lambda entry: entry == domain)
    configuration.remove_entries(
        home, "virtualdomains", lambda entry: entry.startswith(domain + b":")
    )
    tell()
    if prefix:
        _take_postmaster(home, prefix)


def _give_postmaster(home: str, prefix: bytes) -> None:
    """Let mail for the domain's postmaster go to the home's, unless somebody has decided."""
    alias = roles_of(home).alias
    path = _postmaster_path(alias, prefix)
    with acting_as(alias):
        if not os.path.lexists(path):
            files.write_new_file(path, _TO_OURS, _FILE_MODE)
            files.sync_directory(alias.home)


def _take_postmaster(home: str, prefix: bytes) -> None:
    alias = roles_of(home).alias
    path = _postmaster_path(alias, prefix)
    with acting_as(alias):
        if os.path.isfile(path) and files.read_all(path) == _TO_OURS:
            files.unlink(path)


def _postmaster_path(alias: Account, prefix: bytes) -> str:
    # No dots and no capitals in the name of a `.qmail` file: dot-qmail(5).
    extension = (prefix + BREAK + _POSTMASTER).lower().replace(b".", b":")
    return os.path.join(alias.home, os.fsdecode(b".qmail-" + extension))
