"""qmailctl - make, check and run a home. See qmailctl(8).

Runs as the owner of the home, and becomes him first where root starts it for
a private one.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT, TransientFailure
from pyqmail.home.ownership import become_owner, require_queue
from pyqmail.home.running import run_home
from pyqmail.message.date import rfc822_date
from pyqmail.programs import autoconfig, installation, migration, operation, users
from pyqmail.programs.homes import AsJson, Home
from pyqmail.programs.homes import path_of as _home
from pyqmail.programs.homes import visit as _visit
from pyqmail.programs.run import run
from pyqmail.programs.tables import show, text_of
from pyqmail.queue.inspection import Listed, list_messages, list_new_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.queue.inspection import Trouble

# How typer ends: interrupted, and after a command line that it does not understand.
_EXIT_CODES = {1: TRANSIENT, 2: PERMANENT}

_HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    help="Make, check and run a home of pyqmail.",
    no_args_is_help=True,
    add_completion=False,
    context_settings=_HELP,
)
queue_app = typer.Typer(help="The messages that wait.")
app.add_typer(users.app, name="user")
app.add_typer(queue_app, name="queue")
installation.register(app)
operation.register(app, queue_app)
migration.register(app)
app.command("autoconfig")(autoconfig.write)


def main() -> NoReturn:
    """Run as the command `qmailctl`."""
    run("qmailctl", _obey)


def _obey(_arguments: Sequence[bytes], _environ: Mapping[bytes, bytes]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # names and paths need not be UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else SUCCESS
        return _EXIT_CODES.get(code, code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise TransientFailure(os.fsencode(f"{place}{error.strerror}")) from error
    return SUCCESS


@app.command("run")
def run_in_foreground(
    home: Home = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            metavar="NAME=HOST:PORT",
            help="Where smtp, submission, smtps, pop3 or pop3s is; port 0 is any free one, "
            "NAME=off none. Repeatable.",
        ),
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say as JSON, in the first line, what listens where.")
    ] = False,
) -> None:
    """Run the whole home in the foreground, with the log on standard output."""
    path = _home(home)
    become_owner(path)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    notify_socket = os.environ.get("NOTIFY_SOCKET", "")
    raise typer.Exit(run_home(path, listen or (), as_json=as_json, notify_socket=notify_socket))


@queue_app.command("list")
def list_queue(home: Home = None, *, as_json: AsJson = False) -> None:
    """Show the messages that wait."""
    path = _visit(home)
    require_queue(path)
    columns = ("number", "date", "size", "sender", "state")
    rows = [_describe_message(message, "new") for message in list_new_messages(path)]
    rows += [_describe_message(message, "") for message in list_messages(path)]
    show(columns, rows, as_json=as_json, nothing="No message waits.")


def _describe_message(
    message: Listed | Trouble, state: str
) -> tuple[int, str, int | str, str, str]:
    if isinstance(message, Listed):
        date = rfc822_date(message.birth).decode()
        state = "bouncing" if message.bouncing else state
        return message.number, date, message.size, text_of(message.reverse_path), state
    return message.number, "", "", "", "trouble: " + text_of(message.reason)
