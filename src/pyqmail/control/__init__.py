"""What the administrator says: control files, users/assign, cdb databases.

`catalogue` lists every control file once, `files` reads them, `maps` makes
look-up tables of them, and `description` says what they mean. `assign` is whose
mail a local part is, `cdb` the form in which that is looked up, `passwd` how it
is made of a password file. `roles` says who does what in a home, `launchers` which
of its programs are ours, `concurrency` how many deliveries may run at once.
"""
