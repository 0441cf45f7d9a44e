"""What hosts, and our own programs, say to each other, without input or output.

Bytes go in and events come out. `spawn` is what qmail-send, its spawners and
the deliverers say to each other.
"""
