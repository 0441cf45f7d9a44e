"""What a bounce tells programs: the fields of its message/delivery-status (RFC 3464)."""

from __future__ import annotations

import email
from dataclasses import dataclass


@dataclass(frozen=True)
class FailedRecipient:
    """What became of one recipient."""

    address: str
    action: str
    status: str
    diagnostic: str  # what the remote host said, unfolded


def failed_recipients(bounce: bytes) -> list[FailedRecipient]:
    """Return whom a bounce is about."""
    message = email.message_from_bytes(bounce)
    (report,) = (part for part in message.walk() if "delivery-status" in part.get_content_type())
    _, *fields = report.get_payload()
    return [
        FailedRecipient(
            each["Final-Recipient"].partition(";")[2].strip(),
            each["Action"],
            each["Status"],
            " ".join((each["Diagnostic-Code"] or "").split()),
        )
        for each in fields
    ]
