"""What qmailctl lists: a table for people, plain lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Field = str | int


def show(
    columns: Sequence[str], rows: Iterable[Sequence[Field]], *, as_json: bool, nothing: str
) -> None:
    """Print `rows`; if there are none, tell people `nothing`.

    On a terminal it is a table; elsewhere a line for each row, with a tab
    between two fields and no heading.
    """
    # `qmailctl … | head` ends as every other program before head does.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows]))
    elif not sys.stdout.isatty():
        for row in rows:
            print("\t".join(visible(str(field)) for field in row))
    else:
        _show_table(columns, list(rows), nothing)


def text_of(data: bytes) -> str:
    """Return `data` as text; bytes that are not UTF-8 become escapes."""
    return data.decode("utf-8", "backslashreplace")


def visible(text: str) -> str:
    """Return `text` with everything that could move a cursor, or end a field, as an escape."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def _show_table(columns: Sequence[str], rows: list[Sequence[Field]], nothing: str) -> None:
    if not rows:
        print(nothing)
        return
    table = Table(*columns)
    for row in rows:
        # Text, because rich reads plain strings as its markup: a reverse path may hold brackets.
        table.add_row(*(Text(visible(str(field)), overflow="fold") for field in row))
    Console().print(table)
