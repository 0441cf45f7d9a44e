"""An aiosmtpd that keeps what it gets in a Maildir; run with the settings as JSON."""

from __future__ import annotations

import asyncio
import json
import mailbox
import ssl
import sys
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._known = settings["known"]
        self._box = mailbox.Maildir(settings["box"], create=True)

    async def handle_RCPT(  # noqa: N802  aiosmtpd calls it so
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        _ = server, options
        local, _, domain = address.partition("@")
        known = local in self._known and domain.endswith(".aiosmtpd.example")
        if not (known or session.authenticated):
            return "550 5.1.1 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        _ = server
        trace = (
            f"Return-Path: <{envelope.mail_from}>\n"
            f"X-Recipients: {' '.join(envelope.rcpt_tos)}\n"
            f"X-Tls: {session.ssl is not None}\n"
            f"X-Login: {session.auth_data.login.decode() if session.authenticated else ''}\n"
            f"X-Mechanism: {session.mechanism if session.authenticated else ''}\n"
            f"X-Options: {' '.join(envelope.mail_options)}\n"
        )
        self._box.add(trace.encode() + envelope.content.replace(b"\r\n", b"\n"))
        return "250 2.0.0 kept"


async def serve(settings: dict[str, Any]) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(settings["certificate"])

    def authenticate(_server: Any, session: Any, _envelope: Any, mechanism: str, data: Any) -> Any:
        session.mechanism = mechanism
        right = (settings["login"].encode(), settings["password"].encode())
        success = (data.login, data.password) == right
        return AuthResult(success=success, handled=False, auth_data=data)

    common = {
        "handler": Handler(settings),
        "hostname": "aiosmtpd.example",
        "data_size_limit": settings["size"],
        "authenticator": authenticate,
    }
    offers_tls = {"enable_SMTPUTF8": True, "tls_context": tls}
    demands_all = {"require_starttls": True, "auth_required": True}
    variants = {
        "plain": {"enable_SMTPUTF8": False},
        "tls": offers_tls,
        "relay": offers_tls,
        "mended": offers_tls,
        "strict": {**offers_tls, **demands_all, "auth_exclude_mechanism": ["PLAIN"]},
    }
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(
            lambda options=options: SMTP(**common, **options), "127.0.0.1", settings["ports"][name]
        )
        for name, options in variants.items()
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(serve(json.loads(sys.argv[1])))
