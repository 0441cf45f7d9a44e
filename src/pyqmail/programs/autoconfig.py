"""qmailctl autoconfig: what mail clients look for when somebody gives them an address."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from pyqmail.home.client_settings import read_settings
from pyqmail.home.configuration import require_host
from pyqmail.programs.homes import AsJson, Home, visit


def write(  # noqa: PLR0913, PLR0917  the options of one command
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Where the files go, in a folder per domain.")
    ],
    home: Home = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="NAME", help="Where clients find us; else control/me."),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option("--web", metavar="NAME", help="The host of the files; else the same."),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port",
            metavar="NAME=PORT",
            help="Where clients find smtps, submission, pop3s, pop3, imaps or imap; "
            "NAME=off: nowhere. Repeatable.",
        ),
    ] = None,
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", metavar="NAME", help="Only this domain. Repeatable."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write files by which mail clients find their settings, and print records for the DNS."""
    from pyqmail.home import autoconfig  # noqa: PLC0415  what writes XML is large

    place = os.path.abspath(folder)
    path = visit(home)
    written: list[str] = []
    records: list[tuple[str, str, str]] = []
    for settings in read_settings(path, host, port or (), domain or ()):
        server = web or settings.host
        require_host(os.fsencode(server))
        written += autoconfig.write_files(place, settings)
        records += autoconfig.records(settings, server)
    if as_json:
        columns = ("name", "type", "data")
        listed = [dict(zip(columns, record, strict=True)) for record in records]
        print(json.dumps({"files": written, "records": listed}))
        return
    print(*(f"; {name}" for name in written), sep="\n")
    print(*(f"{name} IN {kind} {data}" for name, kind, data in records), sep="\n")
