"""What an SMTP session answers, beside what its engine does: the original's texts, to the byte.

Texts for TLS and AUTH are those of the well-known patches.
"""

from __future__ import annotations

from typing import Final

from pyqmail.protocol.smtp.reply import reply

NO_CONTROLS: Final = reply(421, b"unable to read controls (#4.3.0)")
NO_ADDRESSES: Final = reply(421, b"unable to figure out my IP addresses (#4.3.0)")
NO_MEMORY: Final = reply(421, b"out of memory (#4.3.0)")
NO_PROXY_HEADER: Final = reply(421, b"sorry, your proxy doesn't say who you are (#4.3.5)")
TIMEOUT: Final = reply(451, b"timeout (#4.4.2)")

NO_QUEUE: Final = reply(451, b"qqt failure (#4.3.0)")
CANNOT_CHECK: Final = reply(451, b"sorry, i can't check that mailbox now (#4.3.0)")
TOO_MANY_RECIPIENTS: Final = reply(452, b"too many recipients (#4.5.3)")
NO_SUCH_MAILBOX: Final = reply(550, b"sorry, no mailbox here by that name. (#5.1.1)")
TOO_LARGE: Final = reply(552, b"sorry, that message size exceeds my databytes limit (#5.3.4)")
BAD_SENDER: Final = reply(553, b"sorry, your envelope sender is in my badmailfrom list (#5.7.1)")
BAD_RECIPIENT: Final = reply(553, b"sorry, that recipient is in my badrcptto list (#5.7.1)")
NO_RELAYING: Final = reply(
    553, b"sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
)
NOT_YOUR_SENDER: Final = reply(553, b"sorry, you may not send with that envelope sender (#5.7.1)")
LOOPING: Final = reply(554, b"too many hops, this message is looping (#5.4.6)")
NOT_UTF8: Final = reply(553, b"sorry, that address is not UTF-8 (#5.6.7)")

READY_FOR_TLS: Final = reply(220, b"ready for tls")
NO_TLS_NOW: Final = reply(454, b"TLS not available (#4.3.0)")

AUTHENTICATED: Final = reply(235, b"ok, go ahead (#2.0.0)")
AUTH_UNAVAILABLE: Final = reply(454, b"oops, unable to check that now (#4.3.0)")
ALREADY_AUTHENTICATED: Final = reply(503, b"you're already authenticated (#5.5.0)")
AUTH_UNKNOWN: Final = reply(504, b"auth type unimplemented (#5.5.1)")
AUTH_FIRST: Final = reply(530, b"authentication required (#5.7.1)")
AUTH_FAILED: Final = reply(535, b"authorization failed (#5.7.0)")
AUTH_NEEDS_TLS: Final = reply(538, b"auth not available without TLS (#5.7.11)")
TOO_MANY_GUESSES: Final = reply(421, b"too many failed authentications (#4.7.0)")

NOT_AN_ADDRESS: Final = reply(501, b"malformed XCLIENT (#5.5.4)")
