"""The commands of qmailctl that administrators know from the script of that name.

They work on services that svscan watches over, and on those that a boot script, or
`qmailctl start`, has started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Final

import typer

from pyqmail.control.roles import roles_of
from pyqmail.errors import PERMANENT, PermanentFailure, TransientFailure
from pyqmail.home.operation import Service, services_of
from pyqmail.home.ownership import become_owner, require_home
from pyqmail.home.service_files import RULES, SEND
from pyqmail.programs.homes import Home, path_of

_RULES_OF_MACHINE: Final = "/etc/tcp.smtp"

HELP: Final = """\
   stop    end the mail service: nobody is let in, nothing goes out
  start    begin it: mail is taken from the network, and delivered
  pause    keep everything where it is: connections are taken, nothing moves
   cont    go on after a pause
   stat    say what runs, since when, and how much mail waits
    cdb    make the rules of tcpserver for SMTP anew from tcp.smtp
restart    stop and start
doqueue    try everything that waits now, and forget which hosts did not answer
 reload    have qmail-send read locals and virtualdomains again
  queue    say what waits
   alrm, flush    as doqueue
    hup    as reload
   help    this list; `qmailctl --help` has the other commands
"""


def register(app: typer.Typer, queue_app: typer.Typer) -> None:
    """Add the commands to qmailctl's; `queue` alone says what waits."""
    for command in (start, stop, restart, reload, stat, pause, cont, cdb, doqueue):
        app.command()(command)
    app.command("hup", hidden=True)(reload)
    app.command("alrm", hidden=True)(doqueue)
    app.command("flush", hidden=True)(doqueue)
    app.command("help")(show_help)
    queue_app.callback(invoke_without_command=True)(queue)


def start(home: Home = None) -> None:
    """Start the mail service in the background."""
    path = _enter(home)
    print("Starting qmail")
    for service in services_of(path):
        begun = service.start()
        print(f"  {service.name}" + ("" if begun else " runs already"))


def stop(home: Home = None) -> None:
    """Stop the mail service: nobody is let in, then deliveries under way end."""
    _stop(_enter(home))


def _stop(path: str) -> None:
    print("Stopping qmail...", flush=True)
    for service in reversed(services_of(path)):
        ran = service.stop()
        print(f"  {service.name}" + ("" if ran else " does not run"))


def restart(home: Home = None) -> None:
    """Stop the mail service and start it again."""
    path = _enter(home)
    print("Restarting qmail:")
    for service in reversed(services_of(path)):
        service.stop()
        print(f"* {service.name} is stopped.", flush=True)
    for service in services_of(path):
        service.start()
        print(f"* {service.name} is started.", flush=True)


def doqueue(home: Home = None) -> None:
    """Try everything that waits now."""
    path = _enter(home)
    print("Flushing timeout table and sending ALRM signal to qmail-send.", flush=True)
    _run_program(path, "qmail-tcpok")
    _signal(path, signal.SIGALRM, SEND)


def reload(home: Home = None) -> None:
    """Have qmail-send read locals and virtualdomains again."""
    path = _enter(home)
    print("Sending HUP signal to qmail-send.", flush=True)
    _signal(path, signal.SIGHUP, SEND)


def pause(home: Home = None) -> None:
    """Stop all movement for a while: connections are taken, nothing leaves."""
    _signal_all(_enter(home), signal.SIGSTOP, "Pausing")


def cont(home: Home = None) -> None:
    """Go on after a pause."""
    _signal_all(_enter(home), signal.SIGCONT, "Continuing")


def stat(home: Home = None) -> None:
    """Say what runs, since when, and how much mail waits."""
    path = _enter(home)
    for service in services_of(path):
        print(service.status(), flush=True)
    _run_program(path, "qmail-qstat")


def cdb(home: Home = None) -> None:
    """Make the rules for SMTP anew: from /etc/tcp.smtp, else from tcp.smtp of the home."""
    print(f"Reloaded {compile_rules(_enter(home))}.")


def queue(context: typer.Context, home: Home = None) -> None:
    """Say what waits."""
    if context.invoked_subcommand is None:
        path = _enter(home)
        _run_program(path, "qmail-qstat")
        _run_program(path, "qmail-qread")


def show_help() -> None:
    """List the commands that the well-known script has."""
    print(HELP, end="")


def compile_rules(home: str) -> str:
    """Make the database that tcpserver reads; return the name of what it was made of."""
    source = _RULES_OF_MACHINE
    if not os.path.exists(source):
        source = os.path.join(home, RULES)
    try:
        with open(source, "rb") as rules:
            done = subprocess.run(
                [f"{home}/bin/tcprules", f"{source}.cdb", f"{source}.tmp"],
                stdin=rules,
                check=False,
            )
    except FileNotFoundError as error:
        raise PermanentFailure(os.fsencode(f"there are no rules in {source}")) from error
    if done.returncode != 0:
        raise TransientFailure(os.fsencode(f"{source} stays as it was: tcprules has said why"))
    os.chmod(f"{source}.cdb", 0o644)
    return source


def _enter(option: str | None) -> str:
    """Return the path of the home, with the rights to run it."""
    path = path_of(option)
    require_home(path)
    if roles_of(path).private:
        become_owner(path)
    elif os.geteuid() != 0:
        raise PermanentFailure(os.fsencode(f"{path} is the system's: run this as root"))
    return path


def _run_program(home: str, name: str) -> None:
    sys.stdout.flush()
    environment = {"PATH": f"{home}/bin:{os.defpath}", "QMAILHOME": home}
    done = subprocess.run([f"{home}/bin/{name}"], env=environment, check=False)
    if done.returncode != 0:
        raise TransientFailure(f"{name} ended with code {done.returncode}".encode())


def _signal(home: str, number: signal.Signals, name: str) -> None:
    (service,) = (each for each in services_of(home) if each.name == name)
    _require_up(service, service.signal(number))


def _signal_all(home: str, number: signal.Signals, word: str) -> None:
    for service in services_of(home):
        print(f"{word} {service.name}", flush=True)
        _require_up(service, service.signal(number))


def _require_up(service: Service, was_there: bool) -> None:  # noqa: FBT001  what signal() says
    if not was_there:
        print(f"qmailctl: {service.name} does not run", file=sys.stderr)
        raise typer.Exit(PERMANENT)
