"""One recipient: obey `.qmail`, run programs, forward.

`dotqmail` says what the file means, `local` does it, with the help of
`recipient`, `program` and `forwarding`. `users` finds whose recipient it is.

qmail-lspawn is `spawner`: it asks `lookups` and hands tasks to `workers`, over
`wire`; what the worker process does with them is in `worker` and `batch`, and
what is said of it in `reports`.

To another host: `remote` finds out where, with `routes` and `exchangers`, waits
for its turn in `destinations`, and has `smtp_transaction` hand the `outgoing`
message over a `connection`; `remote_texts` are its words.
"""
