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

CAPA = "under our tcpserver POP3 has extensions, which CAPA lists"
SIZES = "under our tcpserver sizes are what a client receives, and STAT leaves out what is deleted"

# Sessions of POP3 that differ under our tcpserver only; the same cases pass as commands.
POP3_EXTENSIONS: dict[str, str] = {
    "pop3d-002": SIZES,
    "pop3d-019": SIZES,
    "pop3d-020": SIZES,
    "pop3d-022": SIZES,
    "pop3d-025": CAPA,
    "pop3d-027": SIZES,
    "pop3d-028": SIZES,
    "pop3d-029": SIZES,
    "pop3d-050": SIZES,
    "pop3d-052": SIZES,
    "pop3d-065": SIZES,
    "pop3d-066": SIZES,
    "pop3d-f004": SIZES,
    "pop3d-f023": SIZES,
    "pop3d-f027": SIZES,
    "popup-016": CAPA,
}

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
