"""What the machine gives: files, locks, processes, descriptors, accounts, a clock.

Nothing here knows mail; it could serve another project. `files` is the one
place that changes the disk.
"""
