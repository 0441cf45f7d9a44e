"""The commands of qmailctl that make a home, look at it, and put it right."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pyqmail.errors import PERMANENT, PermanentFailure
from pyqmail.home import checking
from pyqmail.home.findings import ERROR, mend
from pyqmail.home.setup import setup as make_home
from pyqmail.home.system_setup import setup_system
from pyqmail.programs.homes import AsJson, Home, path_of_new, visit
from pyqmail.programs.operation import compile_rules
from pyqmail.programs.run import program_names
from pyqmail.programs.tables import show

if TYPE_CHECKING:
    from pyqmail.home.findings import Finding


def register(app: typer.Typer) -> None:
    """Add the commands to qmailctl's."""
    app.command()(setup)
    app.command()(check)


def setup(
    host: Annotated[str, typer.Option("--host", metavar="NAME", help="This host's full name.")],
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
) -> None:
    """Make a home, or complete one: a private one, or the system's."""
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
