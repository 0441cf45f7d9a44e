"""What mail must react to: failures that pass, and failures that stay.

Every part of the family ends with one of a few exit codes, and every failure
is either transient (try again later) or permanent (tell the sender). Unsure?
Transient: mail that waits can be saved, mail that bounced cannot.
"""

from __future__ import annotations

# Exit codes of programs that a user or a .qmail line may run; qmail-command(8).
SUCCESS = 0
SUCCESS_AND_STOP = 99
PERMANENT = 100
TRANSIENT = 111


class Failure(Exception):  # noqa: N818  RFC 5321 and qmail say failure
    """A failure that somebody must be told about; raise one of the two below.

    `text` is what the original would say, in bytes, since it may quote what a
    peer or a file said; it ends without a full stop or newline unless the
    original's text has one. `exit_code` is what a program ends with.
    """

    exit_code = TRANSIENT

    def __init__(self, text: bytes) -> None:
        super().__init__(text.decode("utf-8", "backslashreplace"))
        self.text = text


class TransientFailure(Failure):
    """It may work later; the message waits."""

    exit_code = TRANSIENT


class PermanentFailure(Failure):
    """It will not work later; the sender is told."""

    exit_code = PERMANENT
