from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyqmail.control.cdb import write_cdb
from pyqmail.errors import PermanentFailure, TransientFailure
from pyqmail.ucspi.rules import Rule, explain, parse_rules, read_rule

if TYPE_CHECKING:
    from pathlib import Path


def key_for(
    folder: Path, rules: bytes, ip: bytes, host: bytes | None, info: bytes | None
) -> bytes | None:
    path = f"{folder}/rules.cdb"
    write_cdb(path, parse_rules(rules))
    return read_rule(path, ip, host, info).key


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        (b"1.2.3.4:deny", [b"1.2.3.4"]),
        (b"1.2.3.4-6:deny", [b"1.2.3.4", b"1.2.3.5", b"1.2.3.6"]),
        (b"1.2-3.:deny", [b"1.2.", b"1.3."]),
        (b"1.2-3.4-5:deny", [b"1.2.4-5", b"1.3.4-5"]),
        (b"1.2.3.254-999:deny", [b"1.2.3.254", b"1.2.3.255"]),
        (b"1.2.3.9-4:deny", []),
        (b"-2.:deny", [b"0.", b"1.", b"2."]),
        (b"a@1.2.3.4-6:deny", [b"a@1.2.3.4-6"]),
        (b"=a-b.example:deny", [b"=a-b.example"]),
        (b"no colon", []),
        (b"# comment:deny", []),
        (b" 1.2.3.4:deny \t", [b" 1.2.3.4"]),
        (b"2001:db8::1:deny", [b"2001:db8::1"]),
        (b"2001:DB8:0:00AB::deny", [b"2001:db8:0:ab:"]),
        (b"joe@2001:db8::1:deny", [b"joe@2001:db8::1"]),
        (b"::1:deny", [b"::1"]),
    ],
)
def test_a_line_stands_for_keys(line: bytes, keys: list[bytes]) -> None:
    assert list(parse_rules(line + b"\n")) == [(key, b"D\0") for key in keys]


@pytest.mark.parametrize(
    "line",
    [
        b"1.2.3.4:",
        b"1.2.3.4:allowed",
        b"1.2.3.4: allow",
        b"1.2.3.4:allow,",
        b'1.2.3.4:allow,A="x',
        b"1.2.3.4:allow,A",
        b"1.2.3.4:allow,A=",
        b'1.2.3.4:allow,A="x"B="y"',
        b"1.2.3.a-b:allow",
        b"1.2.3.4:5:allow",
        b"a:b:c:allow",
        b"12345::1:allow",
    ],
)
def test_a_line_that_is_wrong_is_quoted(line: bytes) -> None:
    with pytest.raises(PermanentFailure) as failure:
        list(parse_rules(b":allow\n" + line + b"\n"))

    # `a:b:` and the like are no address: the line is cut at the first colon, as ever.
    assert failure.value.text == b"unable to parse this line: " + line


RULES = b"""\
1.2.3.4:allow
1.2.3.:allow
1.2.:allow
joe@1.2.3.5:allow
joe@=h.example.net:allow
=h.example.net:allow
=.example.net:allow
=:allow
2001:db8::1:allow
2001:db8:1::allow
2001:db8:0:0:7::allow
:allow
"""


@pytest.mark.parametrize(
    ("ip", "host", "info", "key"),
    [
        (b"1.2.3.4", None, None, b"1.2.3.4"),
        (b"1.2.3.5", None, None, b"1.2.3."),
        (b"1.2.3.5", None, b"joe", b"joe@1.2.3.5"),
        (b"1.2.9.9", None, b"joe", b"1.2."),
        (b"9.9.9.9", b"h.example.net", b"joe", b"joe@=h.example.net"),
        (b"1.2.3.4", b"h.example.net", None, b"1.2.3.4"),
        (b"1.2.3.5", b"h.example.net", None, b"=h.example.net"),
        (b"1.2.3.5", b"g.example.net", None, b"1.2.3."),
        (b"9.9.9.9", b"a.g.example.net", None, b"=.example.net"),
        (b"9.9.9.9", b"example.net", None, b"="),
        (b"9.9.9.9", None, None, b""),
        (b"2001:db8::1", None, None, b"2001:db8::1"),
        (b"2001:db8:1::99", None, None, b"2001:db8:1:"),
        (b"2001:db8:1:2:3:4:5:6", None, None, b"2001:db8:1:"),
        (b"2001:db8::7:1:2:3", None, None, b"2001:db8:0:0:7:"),
        (b"2001:db9::1", None, None, b""),
    ],
)
def test_the_most_particular_rule_decides(
    ip: bytes, host: bytes | None, info: bytes | None, key: bytes, tmp_path: Path
) -> None:
    assert key_for(tmp_path, RULES, ip, host, info) == key


def test_without_a_rule_all_are_allowed(tmp_path: Path) -> None:
    assert key_for(tmp_path, b"1.2.3.4:deny\n", b"4.3.2.1", b"h", b"i") is None


def test_variables_are_set_one_after_the_other() -> None:
    environ = {b"A": b"old", b"KEPT": b"yes"}

    Rule(b"", b"+A=x\0+B=\0+A=y=z\0+=nameless\0+nothing\0").apply(environ)

    assert environ == {b"A": b"y=z", b"B": b"", b"KEPT": b"yes"}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(None), b"default:\nallow connection\n"),
        (Rule(b""), b"rule :\nallow connection\n"),
        (Rule(b"1.", b"D\0+A=x\0"), b"rule 1.:\ndeny connection\n"),
        (
            Rule(b"1.", b"+A=x\0"),
            b"rule 1.:\nset environment variable A=x\nallow connection\n",
        ),
    ],
)
def test_a_rule_explains_itself(rule: Rule, text: bytes) -> None:
    assert explain(rule) == text


def test_a_database_that_is_none_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "cdb").write_bytes(b"short")

    with pytest.raises(TransientFailure) as failure:
        read_rule(f"{tmp_path}/cdb", b"1.2.3.4", None, None)

    assert failure.value.text == b"unable to read %b/cdb: protocol error" % bytes(tmp_path)


def test_an_absent_database_allows_all_only_if_it_may_be_absent(tmp_path: Path) -> None:
    path = f"{tmp_path}/none"

    assert read_rule(path, b"1.2.3.4", None, None, may_be_absent=True).key is None
    with pytest.raises(TransientFailure):
        read_rule(path, b"1.2.3.4", None, None)
