"""A connection is accepted or made: ucspi-tcp.

An application is a coroutine over (environment, byte stream) that returns an
exit status: `application.py` says what it may rely on, docs/ucspi.md how to write one.

Accepting, in the order in which a connection meets it: `listening.py` (a socket),
`server.py` (processes, the limits, the log of log.py), `connection.py` (what
happens to one connection), `lookups.py` and `environment.py` (who is there),
`rules.py` (may he), then the application: `stream.py` under it, `filters.py` and
`wrapping.py` between, or `child.py` for anybody else's program.

Connecting: `client.py` and `conversation.py`. `copying.py` is what filters do as
commands of their own.
"""
