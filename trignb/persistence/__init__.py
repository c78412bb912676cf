"""The keyspace on disk: RDB files, how they are saved while the engine goes on, and how they are loaded.

`rdb_file` knows the format and nothing of engines; values are written and read by `trignb.datatypes.rdb`. What
belongs to Lua functions comes from `trignb.lua`, a sibling; JavaScript libraries are not part of an RDB file.
"""
