"""Replication: this engine as a primary of replicas, and as a replica of a primary.

`feed` numbers the stream of what happens here and keeps the end of it; `replica` is who gets it, `full_sync`
what he gets first; `link` is the other side, the thread that follows a primary. `role` decides which side an
engine is on.
"""
