"""Local or remote, when, how many at once; retry; bounce.

`core` decides and does no input or output; `daemon` carries it out. Read
`routing`, `schedule`, `jobs` and `events`; then `core` and its parts, `arrivals`, `deliveries`,
`passes`, `endings`; then `daemon`, `hands` and `store_work`. How it all begins is in `starting`.
"""
