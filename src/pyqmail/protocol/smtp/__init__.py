"""SMTP (RFC 5321) without I/O: bytes in, events out; replies in, bytes out.

Of the server side read `events`, then `server`, which uses `commands` for what
a client says, `data` for the message itself and `reply` for what is answered.
Of the client side read `client`, which uses `server_reply` for what a server
says and `data_encoder` for the message.
"""
