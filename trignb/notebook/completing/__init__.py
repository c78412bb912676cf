"""Completion inside the magics: where the cursor is, what fits there, and IPython's hook.

`place` finds out which words of which magic stand before the cursor, `sources` has the names
there are, `matcher` puts the two together for IPython's completer.
"""
