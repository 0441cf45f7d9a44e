"""Postfix as a receiver of our mail."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.children import NOBODY
from tests.support.postfix import Postfix, why_not
from tests.support.receivers import HOME_DOMAIN, MAX_ERRORS, MAX_RECIPIENTS, MAX_SIZE, Receiver
from tests.support.unpacked import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.certificates import Authority

SERVICES = """\
127.0.0.1:{ports[tls]} inet n - n - - smtpd
  -o smtpd_tls_security_level=may
127.0.0.1:{ports[bare]} inet n - n - - smtpd
  -o smtpd_discard_ehlo_keywords=pipelining,size,8bitmime,dsn,smtputf8,enhancedstatuscodes,chunking
virtual unix - n n - - virtual
"""


class PostfixReceiver(Receiver):
    """Give it a folder of its own; unpacks Postfix there, or skips the test."""

    name = "postfix"
    variants = ("plain", "tls", "bare")

    @classmethod
    def why_not(cls) -> str | None:
        return why_not()

    def __init__(self, folder: Path, authority: Authority, way_back: int) -> None:
        super().__init__(folder, authority, way_back)
        self.box = folder / "mail" / "box"
        self.box.parent.mkdir()
        self.give_away(self.box.parent)
        root = unpack("postfix", folder)
        self._policy = _PolicyServer()
        known = folder / "known"
        known.write_text("/^(joe|ann|grey|late|jörg|r[0-9]+)@/ box/\n", encoding="utf-8")
        ours = folder / "ours"
        ours.write_text("/\\.postfix\\.example$/ ours\n")
        settings = {
            "myhostname": "postfix.example",
            "mydestination": "",
            "virtual_mailbox_domains": f"regexp:{ours}",
            "virtual_mailbox_base": str(self.box.parent),
            "virtual_mailbox_maps": f"regexp:{known}",
            "virtual_uid_maps": f"static:{NOBODY}",
            "virtual_gid_maps": f"static:{NOBODY}",
            "smtpd_recipient_restrictions": "reject_unauth_destination, "
            f"check_policy_service inet:127.0.0.1:{self._policy.server_address[1]}",
            "smtpd_tls_chain_files": str(self.certificate),
            "smtpd_tls_received_header": "yes",
            "smtputf8_enable": "yes",
            "transport_maps": f"inline:{{ {{ {HOME_DOMAIN} = smtp:[127.0.0.1]:{way_back} }}, "
            "{ gone.example = error:5.1.1 no such mailbox any more } }",
            # Who is known at the door, and then is not.
            "virtual_alias_maps": f"inline:{{ late@{self.domain('plain')}=late@gone.example }}",
            "notify_classes": "",
            "smtpd_recipient_limit": str(MAX_RECIPIENTS),
            "smtpd_hard_error_limit": str(MAX_ERRORS),
            "smtpd_error_sleep_time": "0",
            "message_size_limit": str(MAX_SIZE),
            "mynetworks": "192.0.2.1",
            "maillog_file": str(folder / "log"),
            "maillog_file_prefixes": str(folder),
        }
        services = SERVICES.format(ports=self.ports)
        self._postfix = Postfix(root, folder / "postfix", settings, services)
        self.ports["plain"] = self._postfix.port

    @contextmanager
    def start(self) -> Iterator[None]:
        with self._policy, self._postfix.running(delivers=True):
            thread = threading.Thread(target=self._policy.serve_forever)
            thread.start()
            try:
                yield
            finally:
                self._policy.shutdown()
                thread.join()


class _PolicyServer(socketserver.ThreadingTCPServer):
    """Turns away the first attempt to reach grey, as greylisting does for everybody."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Policy)
        self.seen = False


class _Policy(socketserver.StreamRequestHandler):
    server: _PolicyServer

    def handle(self) -> None:
        attributes = {}
        for line in self.rfile:
            name, _, value = line.decode().strip().partition("=")
            attributes[name] = value
            if not name:
                self.wfile.write(b"action=%s\n\n" % self._judge(attributes["recipient"]))

    def _judge(self, recipient: str) -> bytes:
        if not recipient.startswith("grey@") or self.server.seen:
            return b"dunno"
        self.server.seen = True
        return b"defer Greylisted, come back later"
