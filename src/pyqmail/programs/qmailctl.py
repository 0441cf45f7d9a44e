"""qmailctl - make, check and run a home. See qmailctl(8).

Runs as the owner of the home, and becomes him first where root starts it for
a private one.
"""

from __future__ import annotations

import dataclasses
import io
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT, PermanentFailure, TransientFailure
from pyqmail.home import checking
from pyqmail.home.ownership import become_owner, require_queue
from pyqmail.home.running import run_home
from pyqmail.home.setup import setup as make_home
from pyqmail.message.date import rfc822_date
from pyqmail.programs import qmailctl_autoconfig, qmailctl_users
from pyqmail.programs.qmailctl_options import AsJson, Home, home_path, visit
from pyqmail.programs.run import program_names, run
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
queue_app = typer.Typer(help="The messages that wait.", no_args_is_help=True)
app.add_typer(qmailctl_users.app, name="user")
app.add_typer(queue_app, name="queue")
app.command("autoconfig")(qmailctl_autoconfig.write)


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


def _new_home(option: str | None) -> str:
    """Return the path of a home to make; where root gives a folder away, no link must lead."""
    home = home_path(option)
    named = os.path.abspath(option if option is not None else home)
    if os.path.islink(named):
        raise PermanentFailure(os.fsencode(f"{named} is a link: name the folder it leads to"))
    return home


@app.command()
def setup(
    host: Annotated[str, typer.Option("--host", metavar="NAME", help="This host's full name.")],
    home: Home = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ACCOUNT", help="Who shall own it.")
    ] = None,
) -> None:
    """Make a private home, or complete one."""
    path = _new_home(home)
    owner = make_home(path, os.fsencode(host), user or _who_asked(), program_names())
    print(f"{path} is a home of {owner.name} for {host}.")
    command = shlex.quote(f"{path}/bin/qmailctl")
    print(f"Next: {command} user add NAME; {command} run")


def _who_asked() -> str | None:
    """Return whose `sudo` this is, if anybody's: the home is for him, not for root."""
    name = os.environ.get("SUDO_USER")
    return name if os.getuid() == 0 and name != "root" else None


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
    path = home_path(home)
    become_owner(path)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    notify_socket = os.environ.get("NOTIFY_SOCKET", "")
    raise typer.Exit(run_home(path, listen or (), as_json=as_json, notify_socket=notify_socket))


@app.command()
def check(home: Home = None, *, as_json: AsJson = False) -> None:
    """Say what is wrong with a home, and what to do; exit 100 if mail is in danger."""
    path = visit(home)
    findings = checking.check_home(path)
    rows = [dataclasses.astuple(finding) for finding in findings]
    show(("level", "place", "text"), rows, as_json=as_json, nothing="Nothing is wrong.")
    sys.stdout.flush()
    if any(finding.level == checking.ERROR for finding in findings):
        raise typer.Exit(PERMANENT)


@queue_app.command("list")
def list_queue(home: Home = None, *, as_json: AsJson = False) -> None:
    """Show the messages that wait."""
    path = visit(home)
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
