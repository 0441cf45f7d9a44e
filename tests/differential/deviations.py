"""Vectors that we fail on purpose: id and reason. docs/deviations.md lists them too."""

from __future__ import annotations

A_DIRECTORY = "the interpreter does not start when standard input is a directory"
DATA_LOSS = "the original drops the unfinished last line of a message; maildir2mbox(1)"
BAD_NUMBER = "a control file that is not a number is an error, not the default"
ARGUMENT_0 = "a script learns the path it was started by, not its argument 0"
NO_SHELL = "the original is a shell script, and the complaint is the shell's"
BARE_CR = (
    "a CR that ends no line is a space on the wire: the original can be made to send two messages"
)
BARE_LF = "only CR LF ends a command"

DEVIATIONS: dict[str, str] = {
    "inject-504": A_DIRECTORY,
    "inject-539": ARGUMENT_0,
    "inject-547": NO_SHELL,
    "local-340": A_DIRECTORY,
    "maildir2mbox-010": DATA_LOSS,
    "maildir2mbox-011": DATA_LOSS,
    "queue-042": A_DIRECTORY,
    "remote-151": BARE_CR,
    "remote-152": BARE_CR,
    "remote-156": BARE_CR,
    "remote-161": BARE_CR,
    "remote-162": BARE_CR,
    "remote-f042": BARE_CR,
    "smtpd-196": BAD_NUMBER,
    "smtpd-277": BARE_LF,
}
