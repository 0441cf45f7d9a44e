"""Message and envelope become files that survive a crash.

Read `states` and `layout`, then `envelope_file`, then `store`, which is the
interface to the queue; `client` is how every other part puts a message in.
"""
