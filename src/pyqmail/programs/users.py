"""qmailctl user: those who have mail here and need no account of the machine. See qmailctl(8)."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pyqmail.errors import PermanentFailure
from pyqmail.home import credentials, mail_owner, mailboxes
from pyqmail.programs.homes import AsJson, Home, path_of, tell, visit
from pyqmail.programs.tables import show, text_of

app = typer.Typer(help="Users, who need no accounts of the machine.", no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="What comes before the @; the whole address for a virtual domain."
    ),
]
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="ACCOUNT",
        help="In a system home: who keeps the mail; else it is vmail.",
    ),
]


@app.command("add")
def add_user(
    name: Name,
    home: Home = None,
    account: AccountOption = None,
    *,
    with_password: Annotated[
        bool, typer.Option("--password", help="Ask for a password to read mail with.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give NAME a mailbox; in a virtual domain, which is opened if it is new."""
    path = path_of(home)
    keeping = mail_owner.enter(path, account)
    password = _ask_password() if with_password else None
    user, new = mailboxes.add_user(path, os.fsencode(name), keeping)
    if password is not None:
        credentials.set_password(path, user.name, password, scram=True, plain=False)
    shown = text_of(user.name)
    verb = "goes" if new else "goes already"
    fact = {"name": shown, "folder": user.folder, "new": new}
    tell(f"Mail for {shown} {verb} to {user.folder}/Maildir.", fact, as_json=as_json)


@app.command("passwd")
def set_password(  # noqa: PLR0913  the options of one command
    name: Name,
    home: Home = None,
    *,
    without_scram: Annotated[
        bool, typer.Option("--no-scram", help="Keep nothing for SCRAM-SHA-256.")
    ] = False,
    in_plain: Annotated[
        bool, typer.Option("--plain", help="Keep the password itself, for CRAM-MD5 and APOP.")
    ] = False,
    removed: Annotated[bool, typer.Option("--remove", help="Let NAME log in no more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set the password of NAME: asked for on a terminal, else the first line of input."""
    path = path_of(home)
    credentials.enter(path)
    user = os.fsencode(name)
    shown = text_of(user)
    fact = {"name": shown, "password": not removed}
    if removed:
        if not credentials.remove_password(path, user):
            raise PermanentFailure(user + b" has no password")
        tell(f"{shown} cannot log in any more.", fact, as_json=as_json)
        return
    password = _ask_password()
    credentials.set_password(path, user, password, scram=not without_scram, plain=in_plain)
    tell(f"{shown} can log in with the new password.", fact, as_json=as_json)


def _ask_password() -> bytes:
    if sys.stdin is not None and sys.stdin.isatty():
        text: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return os.fsencode(text)
    return sys.stdin.buffer.readline().removesuffix(b"\n") if sys.stdin is not None else b""


@app.command("remove")
def remove_user(  # noqa: PLR0913  the options of one command
    name: Name,
    home: Home = None,
    account: AccountOption = None,
    *,
    with_mail: Annotated[bool, typer.Option("--with-mail", help="Delete the mail too.")] = False,
    with_domain: Annotated[
        bool,
        typer.Option("--with-domain", help="Close the virtual domain if nobody is left in it."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take the mailbox of NAME away; the mail stays unless you say otherwise."""
    path = path_of(home)
    keeping = mail_owner.enter(path, account)
    gone = mailboxes.remove_user(
        path, os.fsencode(name), keeping, with_mail=with_mail, with_domain=with_domain
    )
    user, shown = gone.user, text_of(gone.user.name)
    fact = {"name": shown, "folder": user.folder, "mail": gone.mail, "domain": gone.domain}
    what = "is deleted" if with_mail else "stays"
    sentence = f"Mail for {shown} bounces from now on; {user.folder} {what}."
    if gone.domain:
        sentence = (
            f"Mail for {text_of(user.domain or b'')} is not taken any more; {user.folder} {what}."
        )
    tell(sentence, fact, as_json=as_json)


@app.command("list")
def list_users(home: Home = None, *, as_json: AsJson = False) -> None:
    """Show who has a mailbox."""
    path = visit(home)
    rows = [(text_of(user.name), user.folder) for user in mailboxes.list_users(path)]
    show(("name", "folder"), rows, as_json=as_json, nothing="There are no users.")
