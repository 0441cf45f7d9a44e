"""SMTP (RFC 5321) without I/O: bytes in, events out; replies in, bytes out.

Read `events`, then `server`, which uses `commands` for what a client says,
`data` for the message itself and `reply` for what is answered.
"""
