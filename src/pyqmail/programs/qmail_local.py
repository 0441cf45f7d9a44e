"""qmail-local - deliver or forward a message to a local user. See qmail-local(8).

Runs as the recipient's user, and may touch what that user may; queues what is
forwarded.
"""

from __future__ import annotations

import os
import time

from pyqmail.delivery.local import describe, obey, prepare, tell
from pyqmail.delivery.recipient import Recipient
from pyqmail.errors import PERMANENT
from pyqmail.programs.options import UNKNOWN, Options
from pyqmail.programs.run import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from pyqmail.delivery.local import Counts

_USAGE = (
    b"qmail-local: usage: qmail-local [ -nN ] "
    b"user homedir local dash ext domain sender aliasempty\n"
)
_ARGUMENTS = 8


def main() -> NoReturn:
    """Run as the command `qmail-local`."""
    run("qmail-local", deliver)


def deliver(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Deliver the message on descriptor 0; the report goes to descriptors 1 and 2."""
    os.umask(0o077)
    testing = False
    options = Options("qmail-local", arguments, b"nN")
    for letter, _ in options:
        if letter == UNKNOWN:
            return _usage()
        testing = letter == b"n"
    if len(options.rest) != _ARGUMENTS or not options.rest[1].startswith(b"/"):
        return _usage()
    recipient = Recipient(*options.rest)
    return tell(lambda: _deliver(recipient, environ, testing=testing))


def _deliver(recipient: Recipient, environ: Mapping[bytes, bytes], *, testing: bool) -> Counts:
    delivery = prepare(recipient, 0, environ, int(time.time()), testing=testing)
    return (describe if testing else obey)(delivery)


def _usage() -> int:
    os.write(2, _USAGE)
    return PERMANENT
