"""A message comes in: from a client, or from a local program that must be made proper first.

For SMTP read `smtp`, which holds a session on a `conversation`; then
`transaction` for whose mail is taken, `authentication`, `senders` and `peers`
for who the client is, `settings` for what the administrator says, and
`incoming` for the way into the queue.
"""
