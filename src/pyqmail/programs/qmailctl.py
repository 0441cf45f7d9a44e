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

from pyqmail.errors import PERMANENT, SUCCESS, TRANSIENT, PermanentFailure, TransientFailure
from pyqmail.home import credentials, mailboxes
from pyqmail.home.ownership import become_owner, require_queue
from pyqmail.home.running import run_home
from pyqmail.message.date import rfc822_date
from pyqmail.programs import installation, migration, operation
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
user_app = typer.Typer(help="The users of a private home.", no_args_is_help=True)
queue_app = typer.Typer(help="The messages that wait.")
app.add_typer(user_app, name="user")
app.add_typer(queue_app, name="queue")
installation.register(app)
operation.register(app, queue_app)
migration.register(app)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What comes before the @.")]


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


@user_app.command("add")
def add_user(
    name: Name,
    home: Home = None,
    *,
    with_password: Annotated[
        bool, typer.Option("--password", help="Ask for a password to read mail with.")
    ] = False,
) -> None:
    """Give NAME a mailbox."""
    path = _home(home)
    owner = become_owner(path)
    password = _ask_password() if with_password else None
    user = mailboxes.add_user(path, os.fsencode(name), owner)
    if password is not None:
        credentials.set_password(path, user.name, password, scram=True, plain=False)
    print(f"Mail for {name} goes to {user.folder}/Maildir.")


@user_app.command("passwd")
def set_password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A user; with @ in a domain.")],
    home: Home = None,
    *,
    without_scram: Annotated[
        bool, typer.Option("--no-scram", help="Keep nothing for SCRAM-SHA-256.")
    ] = False,
    in_plain: Annotated[
        bool, typer.Option("--plain", help="Keep the password itself, for CRAM-MD5 and APOP.")
    ] = False,
    removed: Annotated[bool, typer.Option("--remove", help="Let NAME log in no more.")] = False,
) -> None:
    """Set the password of NAME: asked for on a terminal, else the first line of input."""
    path = _home(home)
    credentials.enter(path)
    user = os.fsencode(name)
    if removed:
        if not credentials.remove_password(path, user):
            raise PermanentFailure(user + b" has no password")
        print(f"{name} cannot log in any more.")
        return
    password = _ask_password()
    credentials.set_password(path, user, password, scram=not without_scram, plain=in_plain)
    print(f"{name} can log in with the new password.")


def _ask_password() -> bytes:
    if sys.stdin is not None and sys.stdin.isatty():
        text: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return os.fsencode(text)
    return sys.stdin.buffer.readline().removesuffix(b"\n") if sys.stdin is not None else b""


@user_app.command("remove")
def remove_user(
    name: Name,
    home: Home = None,
    *,
    with_mail: Annotated[bool, typer.Option("--with-mail", help="Delete the mail too.")] = False,
) -> None:
    """Take the mailbox of NAME away; the mail stays unless you say otherwise."""
    path = _home(home)
    become_owner(path)
    user = mailboxes.remove_user(path, os.fsencode(name), with_mail=with_mail)
    credentials.remove_password(path, user.name)
    what = "is deleted" if with_mail else "stays"
    print(f"Mail for {name} bounces from now on; {user.folder} {what}.")


@user_app.command("list")
def list_users(home: Home = None, *, as_json: AsJson = False) -> None:
    """Show who has a mailbox."""
    path = _visit(home)
    rows = [(text_of(user.name), user.folder) for user in mailboxes.list_users(path)]
    show(("name", "folder"), rows, as_json=as_json, nothing="There are no users.")


@app.command("run")
def run_in_foreground(
    home: Home = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            metavar="NAME=HOST:PORT",
            help="Where smtp, submission, smtps or pop3 is; port 0 is any free one, "
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
