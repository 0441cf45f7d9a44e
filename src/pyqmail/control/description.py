"""What the control files of a home say, in sentences: the body of qmail-showctl(8)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyqmail.control.catalogue import ADDITIONS, CATALOGUE, ORIGINAL, ControlFile, Kind
from pyqmail.control.files import ControlError, read_integer, read_line, read_list, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

UNREADABLE: Final = b"Oops! Trouble reading this file.\n"

# Everything but printable ASCII becomes a question mark.
_VISIBLE: Final = bytes(byte if 32 <= byte <= 126 else ord("?") for byte in range(256))  # noqa: PLR2004

# What morercpthosts means where there is no rcpthosts: everybody is accepted anyway.
_IRRELEVANT: Final = "No rcpthosts; doesn't matter that morercpthosts has {}."
_IRRELEVANT_TOO: Final = "No rcpthosts; morercpthosts is irrelevant."


def describe_controls(home: str) -> Iterator[bytes]:
    """Yield a paragraph for each control file, present or not, then for each unknown one.

    A file that cannot be read is told of in its paragraph. Raises ControlError
    if that file is `me`, and OSError if there is no control directory.
    """
    present = set(os.listdir(os.path.join(home, "control")))
    me = read_line(home, "me")
    for file in ORIGINAL:
        yield _paragraph(file.name, _describe(home, file, me))
    for (
        file
    ) in ADDITIONS:  # said only where they exist: the original's output has no place for them
        if file.name in present:
            yield _paragraph(file.name, _describe(home, file, me))
    for name in sorted(present - {file.name for file in CATALOGUE}):
        yield _paragraph(name, b"I have no idea what this file does.\n")


def _paragraph(name: str, text: bytes) -> bytes:
    return b"\n" + os.fsencode(name) + b": " + text


def _describe(home: str, file: ControlFile, me: bytes | None) -> bytes:
    try:
        if file.kind is Kind.DATABASE:
            return _describe_database(home, file)
        if file.kind is Kind.LIST:
            return _describe_list(home, file)
        value = _read_value(home, file)
    except ControlError:
        return UNREADABLE
    if value is not None:
        return _say(file.sentence, value) + b"\n"
    default = me if file.me_first and me is not None else (file.default or "").encode()
    return b"(Default.) " + _say(file.sentence, default) + b"\n"


def _read_value(home: str, file: ControlFile) -> bytes | None:
    """Return what a file of one value says; None if it says nothing."""
    if file.kind is Kind.TEXT:
        text = read_text(home, "control/" + file.name)
        return text.rstrip(b"\n") if text and text.strip() else None
    line = read_line(home, file.name)
    if file.kind is Kind.LINE:
        return line
    return b"%d" % read_integer(home, file.name, 0) if line else None


def _describe_list(home: str, file: ControlFile) -> bytes:
    if file.name == "morercpthosts" and not os.path.exists(os.path.join(home, "control/rcpthosts")):
        file = replace(file, sentence=_IRRELEVANT, absence=_IRRELEVANT_TOO)
    entries = read_list(home, file.name)
    if entries is None:
        return b"(Default.) " + file.absence.encode() + b"\n"
    return b"\n" + b"".join(_say(file.sentence, entry) + b"\n" for entry in entries)


def _describe_database(home: str, file: ControlFile) -> bytes:
    """Say whether a database is as new as the list that it is made of."""
    source_name = file.name.removesuffix(".cdb")
    source = _modification_time(home, source_name)
    database = _modification_time(home, file.name)
    if source is None and database is None:
        return b"(Default.) " + file.absence.encode() + b"\n"
    if source is None:
        text = f"Oops! {file.name} exists but {source_name} doesn't.\n"
    elif database is None:
        text = f"Oops! {source_name} exists but {file.name} doesn't.\n"
    elif source > database:
        text = f"Oops! {file.name} is older than {source_name}.\n"
    else:
        text = "Modified recently enough; hopefully up to date.\n"
    return text.encode()


def _modification_time(home: str, name: str) -> int | None:
    # In whole seconds, as the original compares them.
    try:
        return int(os.stat(os.path.join(home, "control", name)).st_mtime)
    except OSError:
        return None


def _say(sentence: str, value: bytes) -> bytes:
    before, _, after = sentence.partition("{}")
    return before.encode() + value.translate(_VISIBLE) + after.encode()
