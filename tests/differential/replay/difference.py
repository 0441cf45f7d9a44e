"""What is expected against what came, as a diff that a person can read."""

from __future__ import annotations

import copy
import difflib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SPAWNERS = ("qmail-lspawn", "qmail-rspawn")


def difference(vector: Mapping[str, Any], outcome: Mapping[str, Any]) -> list[str]:
    """Return the lines of a diff; none if `outcome` is what the vector expects."""
    expected, actual = (
        _comparable(vector, copy.deepcopy(dict(each))) for each in (vector["expect"], outcome)
    )
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
    for entry in (result.get("files") or {}).values():
        if entry and "cdb" in entry:
            # Only the order of the records of one key means something.
            entry["cdb"].sort(key=lambda record: record[0])
    return result


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
