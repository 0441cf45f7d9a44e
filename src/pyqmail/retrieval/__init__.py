"""Mail is read: `login` asks a POP3 client who it is, `pop3` gives it its Maildir."""
