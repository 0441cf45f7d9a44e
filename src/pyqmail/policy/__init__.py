"""May this peer send us mail? Asked by the stations while a session goes on.

`dnsbl.py` asks lists of addresses in the DNS. Whoever asks hands a `Resolver`
(system/dns.py) to it; tests hand a table.
"""
