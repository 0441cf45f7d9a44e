"""The application that docs/ucspi.md shows does what is said about it."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

from tests.support.sessions import MemoryStream

TEXT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "ucspi.md")


def examples() -> list[str]:
    with open(TEXT, encoding="utf-8") as file:
        return re.findall(r"^```python\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)


def test_the_first_example_is_an_application() -> None:
    names: dict[str, Any] = {}
    exec(compile(examples()[0], TEXT, "exec"), names)
    stream = MemoryStream([b"is anybody", b" there?\r\n"])

    serve = names["application"]([], None)
    status = asyncio.run(serve({b"TCPREMOTEIP": b"192.0.2.7"}, stream))

    assert status == 0
    assert stream.transcript() == b"hello 192.0.2.7\r\nIS ANYBODY THERE?\r\n"


def test_the_second_example_stands_before_another() -> None:
    source = "from __future__ import annotations\n" + examples()[1]
    names: dict[str, Any] = {"is_weekend": lambda: False}
    exec(compile(source, TEXT, "exec"), names)
    seen: list[bytes] = []

    async def inner(environ: dict[bytes, bytes], _stream: object) -> int:
        seen.append(environ[b"WORKDAY"])
        return 3

    serve = names["application"]([b"inner"], lambda _arguments: inner)

    assert asyncio.run(serve({}, MemoryStream([]))) == 3
    assert seen == [b"1"]
