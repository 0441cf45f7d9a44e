"""control/tlspolicy: how safe the way to another host must be.

A line is `KEY:POLICY`, the key as in smtproutes. Behind `verify` may stand the
names that the host's certificate may be for: `KEY:verify:NAME:NAME`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pyqmail.control.files import ControlError, read_list
from pyqmail.control.smtproutes import find_by_suffix, suffixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyqmail.control.maps import ColonMap

NAME = "tlspolicy"
PATH = "control/" + NAME


class Policy(Enum):
    """What a line says."""

    NONE = b"none"  # never TLS
    MAY = b"may"  # TLS where it is to be had
    ENCRYPT = b"encrypt"  # TLS, whoever it is that speaks it
    VERIFY = b"verify"  # TLS, and a certificate that proves who it is


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy, and the names that it gives."""

    policy: Policy
    names: tuple[bytes, ...] = ()


def find_rule(policies: ColonMap, host: bytes, relay: bytes | None) -> Rule | None:
    """Return the rule for mail to `host`, over `relay` if that is not None. Raises ControlError.

    Keys are looked for as those of smtproutes: for the host, then for the relay, then the
    empty one.
    """
    of_relay = [] if relay is None else suffixes(relay)
    value = find_by_suffix(policies, [*suffixes(host), *of_relay, b""])
    return None if value is None else parse_rule(value)


def parse_rule(value: bytes) -> Rule:
    """Return what stands behind the key of a line. Raises ControlError."""
    word, *names = value.split(b":")
    try:
        policy = Policy(word.strip().lower())
    except ValueError as error:
        raise ControlError(PATH, None, b"no policy: " + value[:40]) from error
    if names and policy is not Policy.VERIFY:
        raise ControlError(PATH, None, b"only verify goes with names: " + value[:40])
    return Rule(policy, tuple(filter(None, names)))


def check_rules(home: str) -> Iterator[ControlError]:
    """Yield what is wrong with each line."""
    for line in read_list(home, NAME) or ():
        if b":" not in line:
            yield ControlError(PATH, None, b"no colon in the line " + line[:40])
            continue
        try:
            parse_rule(line.partition(b":")[2])
        except ControlError as error:
            yield error
