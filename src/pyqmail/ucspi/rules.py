"""Rules by address: whether a connection is taken, and what is added to its environment.

tcprules(1) makes a cdb of a text. The key of a record is an ADDRESS as the text
gives it; the data are parts that end in NUL: `D` denies, `+NAME=VALUE` sets a
variable. The first key of `_keys()` that is in the database decides alone.
"""

from __future__ import annotations

import errno
import os

from pyqmail.control.cdb import Cdb, DamagedCdbError
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.system.errnos import error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Final

_DIGITS: Final = b"0123456789"
_HEX_DIGITS: Final = b"0123456789abcdefABCDEF"
_MAX_BYTE: Final = 255  # the original cuts the end of a range to the largest number in an address
_GROUPS: Final = 8  # of an IPv6 address
_MAX_HEX_DIGITS: Final = 4  # of a group


class Rule:
    """What a rule says. `key` is the ADDRESS that decided; None if there is no rule."""

    __slots__ = ("denies", "key", "variables")

    def __init__(self, key: bytes | None, data: bytes = b"") -> None:
        parts = data.split(b"\0")[:-1]
        self.key = key
        self.denies = b"D" in [part[:1] for part in parts]
        self.variables = [part[1:] for part in parts if part[:1] == b"+"]

    def apply(self, environ: dict[bytes, bytes]) -> None:
        """Set the variables."""
        for variable in self.variables:
            name, equals, value = variable.partition(b"=")
            if name and equals:  # nobody can have one without a name
                environ[name] = value


# The way in: text.


def parse_rules(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records that `text` stands for; raise PermanentFailure at a line that is wrong.

    A line without a colon is no rule, and silently passed over, as ever.
    """
    for line in text.split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        rule = line.rstrip(b" \t")
        address, colon, action = _split_line(rule)
        if colon:
            data = _encode_action(action, rule)
            for key in _expand(address, rule):
                yield key, data


def _split_line(rule: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut at the colon that ends the address: the first, unless the address is IPv6."""
    for word in (b":allow", b":deny"):
        address, colon, rest = rule.partition(word)
        info, at, ip = address.rpartition(b"@")
        if colon and _is_ipv6(ip):
            return info + at + _normal_ipv6(ip), colon, word[1:] + rest
    return rule.partition(b":")


def _encode_action(action: bytes, line: bytes) -> bytes:
    if action.startswith(b"deny"):
        data, rest = b"D\0", action[len(b"deny") :]
    elif action.startswith(b"allow"):
        data, rest = b"", action[len(b"allow") :]
    else:
        raise _wrong(line)
    while rest:
        name, equals, quoted = rest[1:].partition(b"=")
        quote = quoted[:1]
        value, end, after = quoted[1:].partition(quote) if quote else (b"", b"", b"")
        if rest[:1] != b"," or not equals or not end:
            raise _wrong(line)
        data += b"+" + name + b"=" + value + b"\0"
        rest = after
    return data


def _expand(address: bytes, line: bytes) -> list[bytes]:
    """Return the keys of an address: several for the first range in it, such as 1.2.3-5."""
    before, dash, after = address.partition(b"-")
    if not dash or b"=" in address or b"@" in address:
        return [address]
    head, dot, first = before.rpartition(b".")
    last, last_dot, tail = after.partition(b".")
    if (first + last).strip(_DIGITS):
        raise _wrong(line)
    numbers = range(int(first or b"0"), min(int(last or b"0"), _MAX_BYTE) + 1)
    return [head + dot + b"%d" % number + last_dot + tail for number in numbers]


def _wrong(line: bytes) -> PermanentFailure:
    return PermanentFailure(b"unable to parse this line: " + line)


def _is_ipv6(text: bytes) -> bool:
    """Is it an IPv6 address, or the beginning of one up to a colon?"""
    groups = text.split(b":")
    whole = len(groups) == _GROUPS or b"::" in text
    if not (whole or (text.endswith(b":") and len(groups) <= _GROUPS)):
        return False
    return bool(text.strip(b":")) and all(
        len(group) <= _MAX_HEX_DIGITS and not group.strip(_HEX_DIGITS) for group in groups
    )


def _normal_ipv6(text: bytes) -> bytes:
    """Write the groups as addresses are written: small letters, no leading zeros."""
    groups = text.lower().split(b":")
    return b":".join(group.lstrip(b"0") or b"0" if group else b"" for group in groups)


# The way out: decisions.


def read_rule(
    path: str, ip: bytes, host: bytes | None, info: bytes | None, *, may_be_absent: bool = False
) -> Rule:
    """Return what the database at `path` says about a peer. Raises TransientFailure."""
    try:
        database = Cdb(path)
    except FileNotFoundError as error:
        if may_be_absent:
            return Rule(None)
        text = b"unable to read " + os.fsencode(path) + b": " + error_text(error)
        raise TransientFailure(text) from error
    except DamagedCdbError as error:
        raise _damaged(path) from error
    try:
        for key in _keys(ip, host, info):
            data = database.get(key)
            if data is not None:
                return Rule(key, data)
        return Rule(None)
    except DamagedCdbError as error:
        raise _damaged(path) from error
    finally:
        database.close()


def _damaged(path: str) -> TransientFailure:
    return TransientFailure(
        b"unable to read " + os.fsencode(path) + b": " + error_text(errno.EPROTO)
    )


def _keys(ip: bytes, host: bytes | None, info: bytes | None) -> Iterator[bytes]:
    """Yield what is looked up, the most particular first."""
    if info is not None:
        yield info + b"@" + ip
        if host is not None:
            yield info + b"@=" + host
    yield ip
    if host is not None:
        yield b"=" + host
    yield from _prefixes(ip)
    if host is not None:
        yield from (b"=" + suffix for suffix in _suffixes(host))
        yield b"="
    yield b""


def _prefixes(ip: bytes) -> Iterable[bytes]:
    if b":" not in ip:
        return _cut(ip, b".")
    # 2001:db8::1 is in 2001:db8:: and, though nobody writes it so, in 2001:db8:0:.
    return (*_cut(_full_ipv6(ip), b":"), *_cut(ip, b":"))


def _cut(text: bytes, separator: bytes) -> Iterator[bytes]:
    """Yield the beginnings of `text` that end in `separator`, the longest first."""
    end = len(text)
    while (end := text.rfind(separator, 0, end)) >= 0:
        yield text[: end + 1]


def _full_ipv6(ip: bytes) -> bytes:
    """Write the zeros that `::` stands for."""
    before, double, after = ip.partition(b"::")
    if not double:
        return ip
    left, right = before.split(b":"), after.split(b":")
    missing = _GROUPS - len([group for group in left + right if group])
    groups = [*left, *[b"0"] * missing, *right]
    return b":".join(group for group in groups if group)


def _suffixes(host: bytes) -> Iterator[bytes]:
    start = -1
    while (start := host.find(b".", start + 1)) >= 0:
        yield host[start:]


def explain(rule: Rule) -> bytes:
    """Return what tcprulescheck(1) prints: of a rule that denies, nothing but that."""
    heading = b"default:\n" if rule.key is None else b"rule " + rule.key + b":\n"
    if rule.denies:
        return heading + b"deny connection\n"
    lines = [b"set environment variable " + variable + b"\n" for variable in rule.variables]
    return heading + b"".join(lines) + b"allow connection\n"


def peer_in(environ: Mapping[bytes, bytes]) -> tuple[bytes, bytes | None, bytes | None]:
    """Return address, name and user that tcprulescheck(1) asks about."""
    ip = environ.get(b"TCPREMOTEIP", b"0.0.0.0")
    return ip, environ.get(b"TCPREMOTEHOST"), environ.get(b"TCPREMOTEINFO")
