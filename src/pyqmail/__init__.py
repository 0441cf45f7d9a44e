"""The qmail family in Python: a mail server made of small programs.

A message passes these packages once each, in this order:

========== ================================================================
package    what happens there
========== ================================================================
ucspi      a connection is accepted, rules by address are applied
reception  a session of SMTP, QMTP or QMQP; a local message is made proper
policy     is the client listed
queue      message and envelope become files that survive a crash
send       local or remote, when, how many at once; retry; bounce
delivery   one recipient: obey `.qmail`, forward, run programs
mailbox    a new file in a Maildir, a new entry in an mbox
retrieval  a POP3 client reads its Maildir
========== ================================================================

Under them lie `message` and `protocol` (what mail is, what programs say to
each other; no input, no output), `system` (what the machine gives) and
`control` (what the administrator says). `login` knows passwords. `home` makes and runs whole homes;
`programs` holds one thin file for every command.
"""
