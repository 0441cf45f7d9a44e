"""A home is made, its users are added, and it is run as a whole.

`setup` makes a private home with its queue and launchers, `mailboxes` adds
users to it, `running` keeps the whole of it in the foreground.
"""
