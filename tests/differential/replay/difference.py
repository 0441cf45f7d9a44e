"""What is expected against what came, as a diff that a person can read."""

from __future__ import annotations

import copy
import difflib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SPAWNERS = ("qmail-lspawn", "qmail-rspawn")
SPEAK_SMTP = ("qmail-smtpd", "sendmail")

HELP = re.compile(r"^214 .*", re.MULTILINE)
# The extensions in an answer to EHLO: everything between its first line and the next reply.
EXTENSIONS = re.compile(r"(250-(?!PIPELINING)[^\r]*\r\n)((?:250-[^\r]*\r\n)*250 [^\r]*\r\n)")


def difference(vector: Mapping[str, Any], outcome: Mapping[str, Any]) -> list[str]:
    """Return the lines of a diff; none if `outcome` is what the vector expects."""
    expected, actual = (
        _comparable(vector, copy.deepcopy(dict(each))) for each in (vector["expect"], outcome)
    )
    if vector.get("ehlo") and "stdout" in expected and "stdout" in actual:
        actual["stdout"] = _without_more_extensions(expected["stdout"], actual["stdout"])
    if expected == actual:
        return []
    lines = [list(_lines("", each)) for each in (expected, actual)]
    return list(difflib.unified_diff(*lines, "expected", "actual", lineterm="", n=2))


def _comparable(vector: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Take away what need not be the same."""
    if "only" in vector:
        result = {field: value for field, value in result.items() if field in vector["only"]}
    if vector.get("program") in SPAWNERS and "stdout" in result:
        result["stdout"] = result["stdout"][1:]  # the number of slots is ours to choose
    if vector.get("program") in SPEAK_SMTP and "stdout" in result:
        result["stdout"] = HELP.sub("214 {HELP}", result["stdout"])
    for field in vector.get("sorted", []):
        if field in result:
            result[field] = "".join(sorted(result[field].splitlines(keepends=True)))
    for entry in (result.get("files") or {}).values():
        if entry and "cdb" in entry:
            # Only the order of the records of one key means something.
            entry["cdb"].sort(key=lambda record: record[0])
    return result


def _without_more_extensions(expected: str, actual: str) -> str:
    """Return `actual` with the recorded lists of extensions where ours contain them."""
    recorded = iter(EXTENSIONS.findall(expected))

    def judge(found: re.Match[str]) -> str:
        greeting, ours = found.groups()
        their_greeting, theirs = next(recorded, ("", ""))
        contained = _names(theirs) <= _names(ours)
        return their_greeting + theirs if contained and greeting == their_greeting else found[0]

    return EXTENSIONS.sub(judge, actual)


def _names(extensions: str) -> set[str]:
    return {line[4:].upper() for line in extensions.splitlines()}


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _lines(f"{name}.{key}" if name else key, value[key])
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _lines(f"{name}[{number}]", item)
    elif isinstance(value, str) and "\n" in value:
        yield f"{name}:"
        yield from (f"    {json.dumps(line)}" for line in value.splitlines(keepends=True))
    else:
        yield f"{name}: {json.dumps(value)}"
