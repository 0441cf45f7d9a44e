"""What a local message gets where it says nothing: hosts and domains, from the control files."""

from __future__ import annotations

from pyqmail.control.files import read_line
from pyqmail.message.rewriting import Completion
from pyqmail.reception.submission import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Defaults:
    """How addresses are completed, and the host that makes Message-IDs unique.

    Raises ControlError, or UnparsableLine for a file that is no piece of an
    address. A variable takes the place of each file, but the file is read.
    """

    __slots__ = ("completion", "id_host")

    def __init__(self, home: str, environ: Mapping[bytes, bytes]) -> None:
        me = read_line(home, "me")

        def setting(name: str, variable: bytes) -> bytes:
            line = read_line(home, name)
            if line is None:
                line = name.encode() if me is None else me
            return environ.get(variable, line)

        default_domain = parse(b"." + setting("defaultdomain", b"QMAILDEFAULTDOMAIN"))
        default_host = parse(b"@" + setting("defaulthost", b"QMAILDEFAULTHOST"))
        plus_domain = parse(b"." + setting("plusdomain", b"QMAILPLUSDOMAIN"))
        self.completion = Completion(default_host, default_domain, plus_domain)
        self.id_host = setting("idhost", b"QMAILIDHOST")
