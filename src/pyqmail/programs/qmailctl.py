"""qmailctl - make, check and run a home. See qmailctl(8).

Runs as the owner of the home, and becomes him first where root starts it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pyqmail.errors import PERMANENT, TRANSIENT, Failure
from pyqmail.home import checking, mailboxes
from pyqmail.home.ownership import become_owner
from pyqmail.home.running import run_home
from pyqmail.home.setup import setup as make_home
from pyqmail.message.date import rfc822_date
from pyqmail.programs.run import complain, home_of, program_names
from pyqmail.queue.inspection import Listed, list_messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

app = typer.Typer(
    help="Make, check and run a home of pyqmail.", no_args_is_help=True, add_completion=False
)
user_app = typer.Typer(help="The users of a private home.", no_args_is_help=True)
queue_app = typer.Typer(help="The messages that wait.", no_args_is_help=True)
app.add_typer(user_app, name="user")
app.add_typer(queue_app, name="queue")

Home = Annotated[str | None, typer.Option("--home", help="The home; else $QMAILHOME.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> NoReturn:
    """Run as the command `qmailctl`."""
    try:
        app()
    except Failure as failure:
        complain("qmailctl", failure.text)
        sys.exit(failure.exit_code)
    except OSError as error:
        complain("qmailctl", os.fsencode(f"{error.filename}: {error.strerror}"))
        sys.exit(TRANSIENT)
    sys.exit(0)


def _home(option: str | None) -> str:
    return os.path.abspath(option if option is not None else home_of(os.environb))


@app.command()
def setup(
    host: Annotated[str, typer.Option("--host", help="The name of this host.")],
    home: Home = None,
    user: Annotated[str | None, typer.Option("--user", help="Who shall own the home.")] = None,
) -> None:
    """Make a private home, or complete one."""
    path = _home(home)
    owner = make_home(path, os.fsencode(host), user, program_names())
    typer.echo(f"{path} is a home of {owner.name} for {host}.")
    typer.echo(f"Next: qmailctl user add NAME --home {path}; qmailctl run --home {path}")


@user_app.command("add")
def add_user(name: str, home: Home = None) -> None:
    """Give NAME a mailbox."""
    path = _home(home)
    user = mailboxes.add_user(path, os.fsencode(name), become_owner(path))
    typer.echo(f"Mail for {name} goes to {user.folder}.")


@user_app.command("remove")
def remove_user(
    name: str,
    home: Home = None,
    *,
    with_mail: Annotated[bool, typer.Option("--with-mail", help="Delete the mail too.")] = False,
) -> None:
    """Take the mailbox of NAME away; the mail stays unless you say otherwise."""
    path = _home(home)
    become_owner(path)
    user = mailboxes.remove_user(path, os.fsencode(name), with_mail=with_mail)
    what = "is deleted" if with_mail else "stays"
    typer.echo(f"Mail for {name} bounces from now on; {user.folder} {what}.")


@user_app.command("list")
def list_users(home: Home = None, *, as_json: AsJson = False) -> None:
    """Show who has a mailbox."""
    users = mailboxes.list_users(_home(home))
    _show(("name", "folder"), [(_text(user.name), user.folder) for user in users], as_json=as_json)


@app.command()
def run(home: Home = None) -> None:
    """Run the whole home in the foreground, with the log on standard output."""
    path = _home(home)
    become_owner(path)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run_home(path))


@app.command()
def check(home: Home = None, *, as_json: AsJson = False) -> None:
    """Say what is wrong with a home, and what to do; exit 100 if mail is in danger."""
    findings = checking.check_home(_home(home))
    rows = [dataclasses.astuple(finding) for finding in findings]
    _show(("level", "place", "text"), rows, as_json=as_json)
    if not findings and not as_json:
        typer.echo("Nothing is wrong.")
    if any(finding.level == checking.ERROR for finding in findings):
        sys.exit(PERMANENT)


@queue_app.command("list")
def list_queue(home: Home = None, *, as_json: AsJson = False) -> None:
    """Show the messages that are preprocessed and wait."""
    rows: list[Sequence[Any]] = []
    for message in list_messages(_home(home)):
        if isinstance(message, Listed):
            state = "bouncing" if message.bouncing else ""
            date = rfc822_date(message.birth).decode()
            rows.append((message.number, date, message.size, _text(message.reverse_path), state))
        else:
            rows.append((message.number, "", "", "", "trouble: " + _text(message.reason)))
    _show(("number", "date", "size", "sender", "state"), rows, as_json=as_json)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _show(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows]))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(field) for field in row))
    if table.row_count:
        Console().print(table)
