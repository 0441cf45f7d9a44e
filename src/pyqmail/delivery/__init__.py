"""One recipient: obey `.qmail`, run programs, forward.

`users` finds whose recipient it is, `dotqmail` says what the file means,
`local` does it.
"""
