"""checkpassword - check a password, and run a program as its user. See checkpassword(8).

Runs as root in a system home, as the owner in a private one, and becomes the user
once the password is right. It reads users/passwd and the machine's passwords, and
writes run/guesses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.login.checkpassword import check
from pyqmail.programs.run import home_of, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


def main() -> NoReturn:
    """Run as the command `checkpassword`."""
    run("checkpassword", check_password)


def check_password(arguments: Sequence[bytes], environ: Mapping[bytes, bytes]) -> int:
    """Check the credentials on descriptor 3; run the arguments if they are right."""
    return check(home_of(environ), arguments, environ)
