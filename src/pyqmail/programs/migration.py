"""The commands of qmailctl that take over from another mail server: `migrate`."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from pyqmail.errors import PERMANENT, Failure, PermanentFailure
from pyqmail.home import spool as spools
from pyqmail.home.spool import Move, Skip
from pyqmail.programs.tables import visible
from pyqmail.system.errnos import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

migrate_app = typer.Typer(help="Take over from another mail server.", no_args_is_help=True)


class Kind(StrEnum):
    """What mail is moved into."""

    MAILBOX = spools.MAILBOX
    MAILDIR = spools.MAILDIR


def register(app: typer.Typer) -> None:
    """Add the commands to qmailctl's."""
    app.add_typer(migrate_app, name="migrate")
    migrate_app.command("spool")(migrate_spool)
    # With one command typer would take its name away.
    migrate_app.callback()(_migrate)


def _migrate() -> None:
    """Take over from another mail server."""


def migrate_spool(
    spool: Annotated[
        str, typer.Option("--spool", metavar="DIR", help="Where the mailboxes are.")
    ] = spools.SPOOL,
    kind: Annotated[
        Kind, typer.Option("--to", help="What to move them into, in each user's home.")
    ] = Kind.MAILBOX,
    users: Annotated[
        list[str] | None, typer.Option("--user", metavar="NAME", help="Only these. Repeatable.")
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Move all of it back.")] = False,
) -> None:
    """Move the mailboxes of /var/spool/mail into the homes of their users, or back."""
    if os.geteuid() != 0:
        raise PermanentFailure(b"mailboxes of others are moved by root")
    if not os.path.isdir(spool):
        raise PermanentFailure(os.fsencode(f"there is no folder {spool}"))
    path = os.path.realpath(spool)
    tasks = list(spools.plan_back(path) if undo else spools.plan(path, kind.value))
    wanted = [task for task in tasks if not users or _name_of(task) in users]
    moves = [task for task in wanted if isinstance(task, Move)]
    for task in wanted:
        if isinstance(task, Skip):
            print(f"{visible(task.name)} stays: {task.reason}")
    if dry_run:
        for move in moves:
            print(f"would move {visible(_way_of(move, undo=undo))}")
        return
    if not undo:
        spools.open_spool(path)
    failed = _move_all(moves, spools.move_back if undo else spools.move, undo=undo)
    if undo and not users and not failed:
        spools.close_spool(path)
    if failed:
        raise typer.Exit(PERMANENT)


def _move_all(moves: Sequence[Move], work: Callable[[Move], None], *, undo: bool) -> int:
    """Do all that can be done; return how many could not."""
    failed = 0
    console = Console(stderr=True)
    progress = Progress(
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else it would take the lines away from a file
    )
    with progress:
        bar = progress.add_task("Moving", total=len(moves))
        for move in moves:
            try:
                work(move)
            except (Failure, OSError) as error:
                failed += 1
                reason = error_text(error).decode() if isinstance(error, OSError) else str(error)
                print(f"{visible(_name_of(move))} is not moved: {reason}", file=sys.stderr)
            else:
                print(f"moved {visible(_way_of(move, undo=undo))}", flush=True)
            progress.advance(bar)
    return failed


def _name_of(task: Move | Skip) -> str:
    return os.path.basename(task.source) if isinstance(task, Move) else task.name


def _way_of(move: Move, *, undo: bool) -> str:
    here, there = (move.target, move.source) if undo else (move.source, move.target)
    return f"{here} to {there}"
