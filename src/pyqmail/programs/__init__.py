"""One file for every command, under its own name, `-` as `_` and `@` as `_at`.

The only package that reads arguments and environment, and the only one that
exits. `run` is the way in and out.
"""
