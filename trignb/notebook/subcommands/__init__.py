"""What ``%tf`` can do: one function a subcommand, one file a group.

A file of this package that uses `trignb.notebook.subcommands.registry.subcommand` is found
by itself; there is no list to add it to.
"""
