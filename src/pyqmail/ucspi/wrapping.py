"""Chain programs in process: an application made of another, over a stream that does something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyqmail.ucspi.application import current_number
from pyqmail.ucspi.filters import recorded, recorded_end

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from pyqmail.ucspi.application import Application, Environment, ServerStream
    from pyqmail.ucspi.filters import Filter


class FilteredStream:
    """A stream that changes what passes."""

    def __init__(self, stream: ServerStream, inward: Filter, outward: Filter) -> None:
        self._stream = stream
        self._inward = inward
        self._outward = outward

    async def read(self) -> bytes:
        """Return something that has arrived and been changed; b"" at the end."""
        while data := await self._stream.read():
            if changed := self._inward.feed(data):
                return changed
        return self._inward.end()

    async def write(self, data: bytes) -> None:
        """Change `data` and send it."""
        await self._stream.write(self._outward.feed(data))

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS below: what is changed is what was said."""
        self._inward.end()
        await self._stream.start_tls(context)

    def hand_over(self) -> None:
        """Refuse: the bytes must pass here."""


class RecordedStream:
    """A stream that writes down what passes, also under TLS."""

    def __init__(self, stream: ServerStream, number: int, write: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._number = number
        self._record = write

    async def read(self) -> bytes:
        """Return what has arrived, written down."""
        data = await self._stream.read()
        number = self._number
        self._record(recorded(data, number, b"<") if data else recorded_end(number, b"<"))
        return data

    async def write(self, data: bytes) -> None:
        """Write `data` down and send it."""
        self._record(recorded(data, self._number, b">"))
        await self._stream.write(data)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS below: what is written down is what was said."""
        await self._stream.start_tls(context)

    def hand_over(self) -> None:
        """Refuse: the bytes must pass here."""


def filtered(application: Application, make: Callable[[], Filter]) -> Application:
    """Return `application` behind a filter in each direction."""

    async def run(environ: Environment, stream: ServerStream) -> int:
        return await application(environ, FilteredStream(stream, make(), make()))

    return run


def recording(application: Application, write: Callable[[bytes], None]) -> Application:
    """Return `application`, with `write` called for lines about all that passes."""

    async def run(environ: Environment, stream: ServerStream) -> int:
        number = current_number()
        status = await application(environ, RecordedStream(stream, number, write))
        write(recorded_end(number, b">"))
        return status

    return run


def echo(make: Callable[[], Filter]) -> Application:
    """Return the application that sends back what it is sent, filtered."""

    async def run(_environ: Environment, stream: ServerStream) -> int:
        filter_ = make()
        while data := await stream.read():
            await stream.write(filter_.feed(data))
        await stream.write(filter_.end())
        return 0

    return run
