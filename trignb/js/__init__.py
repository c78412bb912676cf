"""JavaScript for libraries: one V8 isolate each, and the channel to it.

V8 runs on a thread of its own, commands run on the thread that holds the engine's lock;
the two talk over shared memory, strictly in turns. That is what makes ``client.call`` a
plain function call in JavaScript at a price of microseconds, and what lets a command
called by JavaScript run JavaScript again (docs/javascript-runtime.md).

`runtime` says what the rest of the house may rely on. This package knows nothing of
keys, sessions or commands.
"""
