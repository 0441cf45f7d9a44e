"""SMTP (RFC 5321) without I/O: bytes in, events out; replies in, bytes out.

Of the server side read `events`, then `states` and `server`, which uses `commands` for what a
client says, `data` and `chunks` for the message itself and `reply` for what is answered.
`auth` holds the exchanges of AUTH; it knows no passwords. Of the client side read `client`,
which uses `server_reply` for what a server says and `data_encoder` for the message.
"""
