"""What the administrator says: control files, users/assign, cdb databases.

`catalogue` lists every control file once; `files` reads them; `cdb` and
`assign` are the user database.
"""
