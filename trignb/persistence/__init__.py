"""The keyspace on disk: RDB files and append-only files, how they are written while the engine goes on, and loaded.

`rdb_file` and `aof_file` know the formats and nothing of engines; values are written and read by
`trignb.datatypes.rdb`. What belongs to Lua functions comes from `trignb.lua`, a sibling; JavaScript libraries
are what layers above have in files, see `trignb.engine.kept`.
"""
