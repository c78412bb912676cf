"""The prelude: the files of JavaScript that every isolate evaluates first, as one text."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Final

from trignb.js import words

__all__ = ["PRELUDE_NAME", "prelude"]

PRELUDE_NAME: Final = "trignb:prelude"
_FILES: Final = (
    "primordials.js",
    "region.js",
    "conversation.js",
    "jobs.js",
    "runs.js",
    "clients.js",
    "cluster.js",
    "redis.js",
    "bounds.js",
    "time.js",
    "globals.js",
)


@functools.cache
def prelude() -> str:
    """Return the text, with the words of the channel in it."""
    folder = importlib.resources.files("trignb.js").joinpath("prelude")
    text = "\n".join(
        folder.joinpath(name).read_text(encoding="utf-8") for name in _FILES
    )
    text = text.replace("/*@words@*/", words.as_javascript())
    return f"{text}\n//# sourceURL={PRELUDE_NAME}\n"
