"""Deliver one message to one local recipient: what qmail-local(8) does.

`prepare()` does everything that leaves no trace: it goes home, looks for
trouble, and reads the `.qmail` file. `obey()` follows the instructions. The
two are apart so that a delivery worker can prepare many deliveries and write
their Maildirs in one batch.
"""

from __future__ import annotations

import os
import stat

from pyqmail.delivery import dotqmail
from pyqmail.delivery.program import run_command
from pyqmail.delivery.recipient import environment_of
from pyqmail.errors import SUCCESS, TRANSIENT, Failure, PermanentFailure, TransientFailure
from pyqmail.mailbox import maildir, mbox
from pyqmail.system import files
from pyqmail.system.errnos import error_text, is_temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from pyqmail.delivery.dotqmail import Instruction
    from pyqmail.delivery.recipient import Recipient

FORBIDDEN_MODE: Final = 0o002  # of a home and a .qmail file: others could write; qmail's conf-patrn
FORWARD_ONLY_MODE: Final = stat.S_IXUSR

LOOPING: Final = b"This message is looping: it already has my Delivered-To line. (#5.4.6)"
NO_MAILBOX: Final = b"Sorry, no mailbox here by that name. (#5.1.1)"
NOT_SEEKABLE: Final = b"Unable to rewind message. (#4.3.0)"
HOME_WRITABLE: Final = b"Uh-oh: home directory is writable. (#4.7.0)"
HOME_STICKY: Final = b"Home directory is sticky: user is editing his .qmail file. (#4.2.1)"
HOME_STICKY_WARNING: Final = b"Warning: home directory is sticky."
OUT_OF_MEMORY: Final = b"Out of memory. (#4.3.0)"
DOTQMAIL_WRITABLE: Final = b"Uh-oh: .qmail file is writable. (#4.7.0)"

NO_OWNER: Final = (b"", b"#@[]")  # reverse paths of bounces and double bounces are kept


class Delivery:
    """A delivery that is prepared: what to do, and the strings that go with it."""

    __slots__ = ("environ", "instructions", "message")

    def __init__(
        self,
        message: int,
        environ: dict[bytes, bytes],
        instructions: list[Instruction],
    ) -> None:
        self.message = message
        self.environ = environ
        self.instructions = instructions

    @property
    def home(self) -> str:
        """Return the folder that names in the instructions are relative to."""
        return os.fsdecode(self.environ[b"HOME"])

    @property
    def maildir_head(self) -> bytes:
        """Return the lines that stand before the message in a Maildir."""
        return self.environ[b"RPLINE"] + self.environ[b"DTLINE"]

    @property
    def mbox_head(self) -> bytes:
        """Return the lines that stand before the message in an mbox."""
        return self.environ[b"UFLINE"] + self.maildir_head


class Counts:
    """How many instructions of each kind were followed; the end of a report."""

    __slots__ = ("files", "forwards", "programs", "qp")

    def __init__(self) -> None:
        self.files = 0
        self.forwards = 0
        self.programs = 0
        self.qp = 0  # number of the message that was forwarded

    def count(self, kind: bytes) -> None:
        """Count one instruction."""
        if kind == dotqmail.FORWARD:
            self.forwards += 1
        elif kind == dotqmail.PROGRAM:
            self.programs += 1
        else:
            self.files += 1

    def report(self) -> bytes:
        """Return the lines that tell of success."""
        line = b"did %d+%d+%d\n" % (self.files, self.forwards, self.programs)
        return line + b"qp %d\n" % self.qp if self.qp else line


def prepare(
    recipient: Recipient,
    message: int,
    environ: Mapping[bytes, bytes],
    now: int,
    *,
    testing: bool = False,
) -> Delivery:
    """Go to the recipient's home and return what is to be done there, or raise a Failure.

    `environ` is the environment to begin with. `testing` overlooks what would
    only delay or loop the message, and says so on descriptor 2.
    """
    _go_home(recipient.home)
    _check_home(testing=testing)
    strings = environment_of(recipient, now)
    if not testing:
        _check_loop(message, strings[b"DTLINE"])
    text, mode, default = _find_instructions(recipient)
    if default is not None:
        strings[b"DEFAULT"] = default
    strings[b"NEWSENDER"] = _owner_path(recipient)
    forward_only = bool(mode & FORWARD_ONLY_MODE)
    if not text:
        text, forward_only = recipient.default, False
    instructions = dotqmail.parse_instructions(text, forward_only=forward_only)
    return Delivery(message, {**environ, **strings}, instructions)


def obey(delivery: Delivery) -> Counts:
    """Follow the instructions in their order; raise a Failure at the first that fails.

    What was delivered before it stays delivered. Forwards go out last, as one message.
    """
    counts = Counts()
    addresses = []
    for instruction in delivery.instructions:
        counts.count(instruction.kind)
        if instruction.kind == dotqmail.FORWARD:
            addresses.append(instruction.argument)
        elif _follow(instruction, delivery):
            break
    if addresses:
        counts.qp = _forward(delivery, addresses)
    return counts


def describe(delivery: Delivery) -> Counts:
    """Write on descriptor 1 what obey() would do; raise the Failure that it would raise."""
    counts = Counts()
    lines = []
    try:
        for instruction in delivery.instructions:
            if instruction.kind == dotqmail.REFUSAL:
                raise TransientFailure(instruction.text)
            counts.count(instruction.kind)
            lines.append(b"%b %b\n" % (instruction.kind, instruction.text))
    finally:
        os.write(1, b"".join(lines))
    return counts


def tell(work: Callable[[], Counts]) -> int:
    """Do `work`, write on descriptors 1 and 2 what came of it, and return the exit code."""
    try:
        counts = work()
    except Failure as failure:
        # The text is all there is to say: no name of a program stands before it.
        os.write(2, failure.text + b"\n" if failure.text else b"")
        return failure.exit_code
    except MemoryError:
        os.write(2, OUT_OF_MEMORY + b"\n")
        return TRANSIENT
    os.write(1, counts.report())
    return SUCCESS


def rewind(message: int) -> None:
    """Go back to the beginning of the message."""
    try:
        os.lseek(message, 0, os.SEEK_SET)
    except OSError as error:
        raise TransientFailure(NOT_SEEKABLE) from error


def _go_home(home: bytes) -> None:
    try:
        os.chdir(home)
    except OSError as error:
        text = b"Unable to switch to %b: %b. (#4.3.0)" % (home, error_text(error))
        raise TransientFailure(text) from error


def _check_home(*, testing: bool) -> None:
    """Raise a Failure if deliveries must wait; who tests his .qmail file is only told."""
    try:
        mode = os.stat(".").st_mode
    except OSError as error:
        text = b"Unable to stat home directory: %b. (#4.3.0)" % error_text(error)
        raise TransientFailure(text) from error
    if mode & FORBIDDEN_MODE:
        raise TransientFailure(HOME_WRITABLE)
    if mode & stat.S_ISVTX:
        if not testing:
            raise TransientFailure(HOME_STICKY)
        os.write(2, HOME_STICKY_WARNING + b"\n")


def _check_loop(message: int, delivered_to: bytes) -> None:
    """Raise a PermanentFailure if the line `delivered_to` stands in the header section."""
    rewind(message)
    try:
        looping = _has_header_line(message, delivered_to)
    except OSError as error:
        text = b"Unable to read message: %b. (#4.3.0)" % error_text(error)
        raise TransientFailure(text) from error
    if looping:
        raise PermanentFailure(LOOPING)


def _has_header_line(message: int, line: bytes) -> bool:
    """Say whether the header section of the message has exactly this `line`, LF included."""
    wanted = b"\n" + line
    window = b"\n"  # as if a line had ended before the first
    while piece := os.read(message, files.READ_SIZE):
        window += piece
        end = window.find(b"\n\n")
        if wanted in (window if end < 0 else window[: end + 1]):
            return True
        if end >= 0:
            return False
        window = window[-len(wanted) :]
    return False


def _find_instructions(recipient: Recipient) -> tuple[bytes, int, bytes | None]:
    """Return text and mode of the file that counts, and DEFAULT if its name sets it."""
    for name, default in dotqmail.candidates(recipient.dash, recipient.ext):
        found = _read_dotqmail(name)
        if found is not None:
            return (*found, default)
    if recipient.dash:
        raise PermanentFailure(NO_MAILBOX)
    return b"", 0, None


def _read_dotqmail(name: bytes) -> tuple[bytes, int] | None:
    """Return text and mode of the file `name`; None if it is not there, or not a file."""
    try:
        descriptor = files.open_to_read(os.fsdecode(name))
    except PermissionError as error:
        raise _cannot_open(name, error) from error
    except OSError as error:
        if is_temporary(error.errno or 0):
            raise _cannot_open(name, error) from error
        return None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return None
        if mode & FORBIDDEN_MODE:
            raise TransientFailure(DOTQMAIL_WRITABLE)
        return files.read_rest(descriptor), mode
    except OSError as error:
        raise _cannot_open(name, error) from error
    finally:
        os.close(descriptor)


def _owner_path(recipient: Recipient) -> bytes:
    """Return the reverse path of what is forwarded: a list may have an owner."""
    owner, owner_default = dotqmail.owner_files(recipient.dash, recipient.ext)
    if recipient.reverse_path in NO_OWNER or not _exists(owner):
        return recipient.reverse_path
    # The second form becomes one reverse path for each recipient; see expand_verp().
    form = b"%b-owner-@%b-@[]" if _exists(owner_default) else b"%b-owner@%b"
    return form % (recipient.local, recipient.domain)


def _exists(name: bytes) -> bool:
    try:
        os.stat(name)
    except OSError as error:
        if is_temporary(error.errno or 0):
            raise _cannot_open(name, error) from error
        return False
    return True


def _cannot_open(name: bytes, error: OSError) -> TransientFailure:
    return TransientFailure(b"Unable to open %b: %b. (#4.3.0)" % (name, error_text(error)))


def _follow(instruction: Instruction, delivery: Delivery) -> bool:
    """Do what one line says; return whether the lines after it are to be ignored."""
    if instruction.kind == dotqmail.REFUSAL:
        raise TransientFailure(instruction.text)
    rewind(delivery.message)
    if instruction.kind == dotqmail.PROGRAM:
        return run_command(instruction.argument, delivery.message, delivery.environ)
    path = os.fsdecode(instruction.argument)
    if instruction.kind == dotqmail.MAILDIR:
        maildir.deliver(path, delivery.maildir_head, delivery.message)
    else:
        mbox.deliver(path, delivery.mbox_head, delivery.message)
    return False


def _forward(delivery: Delivery, addresses: list[bytes]) -> int:
    from pyqmail.delivery.forwarding import forward  # noqa: PLC0415  a third of the start-up time

    rewind(delivery.message)
    environ = delivery.environ
    try:
        return forward(
            environ[b"DTLINE"], delivery.message, environ[b"NEWSENDER"], addresses, environ
        )
    except PermanentFailure as failure:
        raise PermanentFailure(_cannot_forward(failure)) from failure
    except Failure as failure:
        raise TransientFailure(_cannot_forward(failure)) from failure


def _cannot_forward(failure: Failure) -> bytes:
    return b"Unable to forward message: %b." % failure.text
