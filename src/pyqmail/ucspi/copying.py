"""Filters as commands: they stand between descriptors 0 and 1 and a program.

Light: such a command may be started for every connection.
"""

from __future__ import annotations

import os
import select

from pyqmail.errors import SUCCESS, TRANSIENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, NoReturn

    from pyqmail.ucspi.filters import Filter

_READ_SIZE: Final = 65536  # bytes


class Observed:
    """One direction: `change` is what happens to a piece, `finish` what is written at its end.

    `read_size` is what one read asks for.
    """

    __slots__ = ("change", "finish", "read_size")

    def __init__(
        self,
        change: Callable[[bytes], bytes],
        finish: Callable[[], bytes],
        read_size: int = _READ_SIZE,
    ) -> None:
        self.change = change
        self.finish = finish
        self.read_size = read_size


def filter_input(filter_: Filter) -> int:
    """Copy descriptor 0 to descriptor 1 through a filter; return the exit code.

    As ever, that alone tells of trouble.
    """
    try:
        while data := os.read(0, _READ_SIZE):
            write_all(1, filter_.feed(data))
        write_all(1, filter_.end())
    except OSError:
        return TRANSIENT
    return SUCCESS


def run_between(
    directions: Callable[[int], tuple[Observed, Observed]],
    become: Callable[[Sequence[bytes], Mapping[bytes, bytes]], NoReturn],
    arguments: Sequence[bytes],
    environ: Mapping[bytes, bytes],
) -> NoReturn:
    """Become `arguments`, with a child between us and our descriptors 0 and 1.

    `directions` gives both directions for the pid of the program: in, and out. The
    child copies, so that whoever started us sees the program's own exit status.
    """
    input_of_program, to_program = os.pipe()
    from_program, output_of_program = os.pipe()
    pid = os.getpid()
    if os.fork() == 0:
        os.close(input_of_program)
        os.close(output_of_program)
        _copy_and_exit(directions(pid), to_program, from_program)
    os.dup2(input_of_program, 0)
    os.dup2(output_of_program, 1)
    become(arguments, environ)


def _copy_and_exit(
    directions: tuple[Observed, Observed], to_program: int, from_program: int
) -> NoReturn:
    code = TRANSIENT
    try:
        copy_both_ways(directions, to_program, from_program)
        code = SUCCESS
    except OSError:
        pass  # nobody reads what the program says
    except Exception as error:  # noqa: BLE001  the top of the child
        os.write(2, f"copying: unexpected {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def copy_both_ways(
    directions: tuple[Observed, Observed], to_program: int, from_program: int
) -> None:
    """Copy 0 to the program and the program to 1, until the program says no more.

    A program that does not read what it is sent can still talk: no write waits.
    """
    inward, outward = directions
    os.set_blocking(to_program, False)
    held: bytes | None = b""  # on its way to the program; None: it reads no more
    ended = False
    while True:
        poll = select.poll()
        poll.register(from_program, select.POLLIN)
        if held:
            poll.register(to_program, select.POLLOUT)
        elif not ended:
            poll.register(0, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        if not ended and not held and 0 in ready:
            data = _read(0, inward.read_size)
            held = inward.change(data) if data else inward.finish()
            ended = not data
        if held:
            held = _send(to_program, held)
        if to_program >= 0 and (held is None or (ended and not held)):
            os.close(to_program)
            to_program, ended = -1, True
        if from_program in ready:
            data = _read(from_program, outward.read_size)
            write_all(1, outward.change(data) if data else outward.finish())
            if not data:
                return


def _send(descriptor: int, data: bytes) -> bytes | None:
    """Write what there is room for; return the rest, or None if nobody reads any more."""
    try:
        return data[os.write(descriptor, data) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return None


def _read(descriptor: int, size: int) -> bytes:
    try:
        return os.read(descriptor, size)
    except OSError:
        return b""  # a connection that was reset has ended too


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, waiting for room."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
