"""Messages as open files, as deliveries get them."""

from __future__ import annotations

import os

MESSAGE = b"From: sue@example.net\nSubject: hi\n\nHello.\n"


def message_file(text: bytes = MESSAGE) -> int:
    """Return a descriptor of a file in memory that holds `text`, at its beginning."""
    descriptor = os.memfd_create("message")
    os.write(descriptor, text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
