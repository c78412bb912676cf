"""The notebook: magics, redis-cli's text form, DataFrames, displays.

Why a layer of its own, on top of everything: pandas and IPython take a second to import, and
a program that only wants the engine should not pay for them. Nothing here knows how the
engine works. Each magic is one call of `trignb.Engine` and a way to show what it gave, so
whatever a magic does can be done without one.
"""
