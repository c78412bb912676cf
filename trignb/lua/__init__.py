"""Lua scripts and functions: EVAL, SCRIPT, FUNCTION, FCALL on Lua 5.1.

Only `runtime` imports lupa. A script runs as part of the unit of the command that called it; its
effects are propagated, never the script.
"""
