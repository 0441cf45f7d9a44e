"""One recipient: obey `.qmail`, run programs, forward.

`dotqmail` says what the file means, `local` does it, with the help of
`recipient`, `program` and `forwarding`. `users` finds whose recipient it is.

qmail-lspawn is `spawner`: it asks `lookups` and hands tasks to `workers`, over
`wire`; what the worker process does with them is in `worker` and `batch`, and
what is said of it in `reports`.

To another host: `remote` finds out where (`hops`, with `routes`, `exchangers` and
`security`) and waits for its turn in `destinations`. `opening` makes a `connection`,
with `introduction`, and `smtp_transaction` hands the `outgoing` message over it, as
`composition` puts it. Both talk in a `conversation`; what comes of it is an
`outcome`, in the words of `remote_texts`.
"""
