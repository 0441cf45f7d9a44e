"""What the administrator says: control files, users/assign, cdb databases.

`catalogue` lists every control file once; `files` reads them and `maps` makes
look-up tables of them; `cdb` and `assign` are the user database; `roles` says
who does what in a home, `launchers` which of its programs are ours.
"""
