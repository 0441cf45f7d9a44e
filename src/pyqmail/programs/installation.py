"""The commands of qmailctl that make a home, look at it, and put it right."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pyqmail.control.roles import roles_of
from pyqmail.errors import PERMANENT, PermanentFailure
from pyqmail.home import checking, sendmail_links
from pyqmail.home.findings import ERROR, mend
from pyqmail.home.ownership import become_owner, require_home
from pyqmail.home.removal import remove_programs
from pyqmail.home.setup import setup as make_home
from pyqmail.home.system_setup import setup_system
from pyqmail.programs.homes import AsJson, Home, path_of, path_of_new, visit
from pyqmail.programs.operation import compile_rules
from pyqmail.programs.run import program_names
from pyqmail.programs.tables import show

_NO_HOST = "Missing option '--host'."

if TYPE_CHECKING:
    from pyqmail.home.findings import Finding


def register(app: typer.Typer) -> None:
    """Add the commands to qmailctl's."""
    app.command()(setup)
    app.command()(check)


def setup(  # noqa: PLR0913  options
    host: Annotated[
        str | None, typer.Option("--host", metavar="NAME", help="This host's full name.")
    ] = None,
    home: Home = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ACCOUNT", help="Who shall own it.")
    ] = None,
    *,
    system: Annotated[
        bool, typer.Option("--system", help="Make it root's, with an account for each part.")
    ] = False,
    prefix: Annotated[
        str | None,
        typer.Option(
            "--prefix",
            metavar="TEXT",
            help="What the names of a system home's accounts begin with.",
        ),
    ] = None,
    sendmail: Annotated[
        bool, typer.Option("--sendmail", help="Put ours in the place of the machine's sendmail.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="With --sendmail: put back what was there.")
    ] = False,
    uninstall: Annotated[
        bool, typer.Option("--uninstall", help="Remove the programs; mail and queue stay.")
    ] = False,
) -> None:
    """Make a home, or complete one: a private one, or the system's."""
    if sendmail or uninstall:
        _change_machine(path_of(home), sendmail=sendmail, undo=undo, uninstall=uninstall)
        return
    if host is None:
        raise typer.BadParameter(_NO_HOST)
    path = path_of_new(home)
    if system:
        if user is not None:
            raise PermanentFailure(b"a system home is root's: --user is for private ones")
        _make_system_home(path, os.fsencode(host), prefix)
        return
    if prefix is not None:
        raise PermanentFailure(b"--prefix is for --system: a private home has one account")
    owner = make_home(path, os.fsencode(host), user or _who_asked(), program_names())
    print(f"{path} is a home of {owner.name} for {host}.")
    command = shlex.quote(f"{path}/bin/qmailctl")
    print(f"Next: {command} user add NAME; {command} run")


def _change_machine(path: str, *, sendmail: bool, undo: bool, uninstall: bool) -> None:
    """Replace sendmail, or take it back, or remove the programs."""
    require_home(path)
    private = roles_of(path).private
    if private and sendmail:
        raise PermanentFailure(b"the machine's sendmail is for a system home")
    if private:
        become_owner(path)
    elif os.geteuid() != 0:
        raise PermanentFailure(os.fsencode(f"{path} is the system's: run this as root"))
    if uninstall:
        lines = remove_programs(path)
    else:
        lines = sendmail_links.restore(path) if undo else sendmail_links.replace(path)
    for line in lines or ["Nothing is to do."]:
        print(line)


def _make_system_home(path: str, host: bytes, prefix: str | None) -> None:
    for line in setup_system(path, host, program_names(), prefix):
        print(line)
    compile_rules(path)
    print(f"{path} is the system's home for {os.fsdecode(host)}.")
    command = shlex.quote(f"{path}/bin/qmailctl")
    print(f"Next: {command} check; {command} start")


def _who_asked() -> str | None:
    """Return whose `sudo` this is, if anybody's: the home is for him, not for root."""
    name = os.environ.get("SUDO_USER")
    return name if os.getuid() == 0 and name != "root" else None


def check(
    home: Home = None,
    *,
    as_json: AsJson = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Put owners, modes and missing things right first.")
    ] = False,
) -> None:
    """Say what is wrong with a home, and what to do; exit 100 if mail is in danger."""
    path = visit(home)
    findings = checking.check_home(path)
    if fix:
        findings = _mend(path, findings)
    rows = [(finding.level, finding.place, finding.text) for finding in findings]
    show(("level", "place", "text"), rows, as_json=as_json, nothing="Nothing is wrong.")
    sys.stdout.flush()
    if any(finding.level == ERROR for finding in findings):
        raise typer.Exit(PERMANENT)


def _mend(path: str, findings: list[Finding]) -> list[Finding]:
    """Mend, and look again; what was missing first has an owner and a mode to look at then."""
    for _ in range(2):
        lines = mend(findings)
        for line in lines:
            print(line, file=sys.stderr)
        findings = checking.check_home(path)
        if not lines:
            break
    return findings
