"""One recipient: obey `.qmail`, run programs, forward.

`dotqmail` says what the file means, `local` does it, with the help of
`recipient`, `program` and `forwarding`. `users` finds whose recipient it is.

qmail-lspawn is `spawner`: it asks `lookups` and hands tasks to `workers`, over
`wire`; what the worker process does with them is in `worker` and `batch`, and
what is said of it in `reports`.
"""
