"""Local or remote, when, how many at once; retry; bounce.

`core` decides and does no input or output; `daemon` carries it out. Read
`routing`, `schedule` and `jobs`, then `core`, then `daemon`.
"""
