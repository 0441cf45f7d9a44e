"""Debian's Dovecot, with the configuration that docs/dovecot.md recommends."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

from tests.support.peers import PATIENCE, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "dovecot.md")


def recommended(name: str) -> str:
    """Return the configuration that the page shows under a name."""
    with open(PAGE, encoding="utf-8") as file:
        found = re.search(rf":name: {name}\n\n(.*?)```", file.read(), re.DOTALL)
    assert found is not None, f"docs/dovecot.md has no configuration {name}"
    return found[1]


def adapted(text: str, changes: Mapping[str, str]) -> str:
    """Return a configuration with other paths, accounts and ports; each must be in it."""
    for old, new in changes.items():
        changed = re.sub(rf"(?<![\w.-]){re.escape(old)}(?![\w.-])", new, text)
        assert changed != text, f"the configuration has no {old}"
        text = changed
    return text


def free_port() -> int:
    """Return a port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def dovecot(
    configuration: str, folder: str, port: int, options: Mapping[str, Any]
) -> Iterator[str]:
    """Have Dovecot run in the foreground; give the path of its log."""
    program = require("dovecot", "dovecot-imapd")
    require("imap", "dovecot-imapd", path="/usr/lib/dovecot")
    log_path = f"{folder}/dovecot.log"
    with open(log_path, "wb") as log:
        server = subprocess.Popen(
            [program, "-F", "-c", configuration],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **options,
        )
    try:
        _wait_until_it_listens(port, server, log_path)
        yield log_path
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _wait_until_it_listens(port: int, server: subprocess.Popen[bytes], log_path: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        with open(log_path, encoding="utf-8") as log:
            said = log.read()
        assert server.poll() is None, said
        assert time.monotonic() < end, said
        time.sleep(0.05)
