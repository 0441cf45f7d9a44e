"""Start programs, wait for them, and read how they ended.

Python ignores SIGPIPE and SIGXFSZ; every program that is started here gets the
default back, for it must die when nobody reads what it writes.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, NoReturn
else:
    import _signal  # the C module: `signal` costs start-up time for its enums

IGNORED_BY_PYTHON: Final = (_signal.SIGPIPE, _signal.SIGXFSZ)
_SHELL: Final = b"/bin/sh"
# Where the C library looks for a program if PATH is not set; confstr(3).
_DEFAULT_SEARCH_PATH: Final = b"/bin:/usr/bin"
# Errors of one directory of PATH that let the search go on; execvp(3).
_NOT_HERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)


def crashed(status: int) -> bool:
    """Was the process with this wait status killed by a signal?"""
    return status & 127 != 0


def exit_code(status: int) -> int:
    """Return the exit code in a wait status of a process that was not killed."""
    return status >> 8


def wait_for(pid: int) -> int:
    """Return the wait status of the child `pid` when it has ended."""
    return os.waitpid(pid, 0)[1]


def kill(pid: int) -> None:
    """Kill the child `pid`, which has not been waited for."""
    os.kill(pid, _signal.SIGKILL)


def start(  # noqa: PLR0913  what a program is started with
    path: bytes,
    arguments: list[bytes],
    environ: Mapping[bytes, bytes],
    stdin: int = 0,
    stdout: int = 1,
    *,
    more: Sequence[tuple[int, int]] = (),
) -> int:
    """Start the program `path`, its descriptors 0 and 1 being `stdin` and `stdout`; return its pid.

    `more` are others, as pairs of our number and the program's. `arguments`
    begins with the name that the program sees as its own. Raises OSError if
    it cannot be started.
    """
    moves = [
        (os.POSIX_SPAWN_DUP2, old, new) for old, new in ((stdin, 0), (stdout, 1)) if old != new
    ]
    moves += [(os.POSIX_SPAWN_DUP2, old, new) for old, new in more]
    return os.posix_spawn(path, arguments, environ, file_actions=moves, setsigdef=IGNORED_BY_PYTHON)


def output_of(
    path: bytes, arguments: list[bytes], environ: Mapping[bytes, bytes]
) -> tuple[int, bytes]:
    """Run the program `path`; return its wait status and what it writes. Raises OSError."""
    reading, writing = os.pipe()
    try:
        pid = start(path, arguments, environ, stdout=writing)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with open(reading, "rb") as output:
        text = output.read()
    return wait_for(pid), text


def run_with_input(arguments: list[bytes], stdin: int, environ: Mapping[bytes, bytes]) -> int:
    """Run the program `arguments[0]`, found through PATH, and return its wait status.

    It reads the descriptor `stdin` as its descriptor 0. Raises OSError if it
    cannot be started.
    """
    return wait_for(start_by_name(arguments, environ, stdin))


def start_by_name(
    arguments: list[bytes],
    environ: Mapping[bytes, bytes],
    stdin: int = 0,
    stdout: int = 1,
    *,
    more: Sequence[tuple[int, int]] = (),
) -> int:
    """Start the program `arguments[0]` as execvp(3) finds it; return its pid.

    Its descriptors are as for start().

    A name with a slash is a path, any other is looked for in PATH. A file
    without a known format is a script for /bin/sh.
    """

    def try_path(path: bytes) -> int:
        try:
            return start(path, arguments, environ, stdin, stdout, more=more)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            shell = [_SHELL, path, *arguments[1:]]
            return start(_SHELL, shell, environ, stdin, stdout, more=more)

    return _first_that_works(try_path, arguments[0], environ)


def execute_by_name(
    arguments: list[bytes], environ: Mapping[bytes, bytes], name: bytes | None = None
) -> NoReturn:
    """Become the program `name`, looked for as in start_by_name(). Raises OSError.

    Without a `name` it is `arguments[0]`, which the program sees as its own name.
    """

    def try_path(path: bytes) -> int:
        execute(path, arguments, environ)

    _first_that_works(try_path, arguments[0] if name is None else name, environ)
    raise AssertionError("a program that was executed has come back")


def execute(path: bytes, arguments: list[bytes], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Become the program `path`. Raises OSError."""
    for number in IGNORED_BY_PYTHON:
        _signal.signal(number, _signal.SIG_DFL)
    os.execve(path, arguments, environ)


def find_program(name: bytes, environ: Mapping[bytes, bytes]) -> bytes | None:
    """Return the path that start_by_name() would start; None if there is none that may be run."""
    if b"/" in name:
        return name
    for directory in environ.get(b"PATH", _DEFAULT_SEARCH_PATH).split(b":"):
        path = (directory or b".") + b"/" + name
        if name and os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return None


def set_title(title: str) -> None:
    """Show `title` in lists of processes, where setproctitle is installed."""
    try:
        from setproctitle import setproctitle  # noqa: PLC0415  only daemons pay for it
    except ImportError:
        return
    setproctitle(title)


def _first_that_works(
    try_path: Callable[[bytes], int], name: bytes, environ: Mapping[bytes, bytes]
) -> int:
    if b"/" in name:
        return try_path(name)
    refusal: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not name:
        raise refusal
    for directory in environ.get(b"PATH", _DEFAULT_SEARCH_PATH).split(b":"):
        try:
            return try_path((directory or b".") + b"/" + name)
        except PermissionError as error:
            refusal = error  # a program that may not be run says more than one that is not there
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
    raise refusal
