from __future__ import annotations

import os
import re

from pyqmail.control.catalogue import ADDITIONS, CATALOGUE, ORIGINAL, Kind

ROOT = os.path.join(os.path.dirname(__file__), "..", "..", "..")

# qmail-control(5) of the original.
OF_THE_ORIGINAL = """
badmailfrom bouncefrom bouncehost concurrencylocal concurrencyremote defaultdomain defaulthost
databytes doublebouncehost doublebounceto envnoathost helohost idhost localiphost locals me
morercpthosts morercpthosts.cdb percenthack plusdomain qmqpservers queuelifetime rcpthosts
smtpgreeting smtproutes timeoutconnect timeoutremote timeoutsmtpd virtualdomains
"""


def test_every_control_file_of_the_original_is_in_the_catalogue() -> None:
    assert {file.name for file in ORIGINAL} == set(OF_THE_ORIGINAL.split())


def test_no_file_is_in_the_catalogue_twice() -> None:
    names = [file.name for file in CATALOGUE]

    assert len(names) == len(set(names))


def test_every_file_of_one_value_has_a_default_and_a_place_for_the_value() -> None:
    for file in CATALOGUE:
        if file.kind in {Kind.LIST, Kind.DATABASE}:
            assert file.absence, file.name
            assert file.default is None, file.name
        else:
            assert file.default is not None, file.name
            is_secret = file.name.endswith(".pem") or file.name == "smtproutes_auth"
            assert file.sentence.count("{}") == (not is_secret), file.name


def test_the_manual_has_exactly_the_files_of_the_catalogue_and_their_defaults() -> None:
    with open(f"{ROOT}/docs/man/qmail-control.5.md", encoding="utf-8") as file:
        entries = re.findall(
            r"^`([a-z0-9._]+)`: (\w+)(?:, default (\S+))?; (.+)$", file.read(), re.MULTILINE
        )

    assert entries == [
        (
            file.name,
            file.kind.value,
            manual_default(file.default, me_first=file.me_first),
            file.reader,
        )
        for file in sorted(CATALOGUE, key=lambda file: file.name)
    ]


def manual_default(default: str | None, *, me_first: bool) -> str:
    if me_first:
        return "*me*"
    return "" if default in {None, "undefined! Uh-oh"} else f"`{default}`"


def test_every_name_that_a_module_reads_is_in_the_catalogue() -> None:
    known = {file.name for file in CATALOGUE}
    unknown = set()
    for folder, _, names in os.walk(f"{ROOT}/src/pyqmail"):
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    unknown |= names_read_by(file.read()) - known

    assert unknown == set()
    assert names_read_by('read_integer(home, "databytes", 0)') == {"databytes"}


def names_read_by(source: str) -> set[str]:
    calls = r'read_(?:line|integer|list)(?:_or_me)?\(\s*\w+,\s*"([a-z.]+)"(?!, "users"| \+)'
    return set(re.findall(calls, source))


def test_additions_are_none_of_the_originals_files() -> None:
    assert not {file.name for file in ADDITIONS} & set(OF_THE_ORIGINAL.split())
