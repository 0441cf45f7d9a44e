"""A new file in a Maildir, a new entry in an mbox."""
