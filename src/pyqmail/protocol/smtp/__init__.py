"""SMTP (RFC 5321) without I/O: bytes in, events out; replies in, bytes out.

Read `events`, then `states` and `server`, which uses `commands` for what a client says,
`data` and `chunks` for the message itself and `reply` for what is answered.
`auth` holds the exchanges of AUTH; it knows no passwords.
"""
