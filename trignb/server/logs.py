"""The log of a served engine: lines as Redis writes them, plain or coloured.

Everything in the package speaks to loggers below ``trignb``; only a process of its own decides where that goes.
In a notebook Python's own rule holds: warnings and worse appear, nothing else does.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Callable
from typing import Final

__all__ = ["VERBOSE", "set_level", "show_role", "start_logging", "stop_logging"]

# Between Python's debug and info, as Redis's verbose is.
VERBOSE: Final = 15

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "verbose": VERBOSE,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "nothing": logging.CRITICAL + 1,
}
_MARKS: Final = ((VERBOSE, "."), (logging.INFO, "-"), (logging.WARNING, "*"))
_STYLES: Final = {".": "dim", "-": "dim", "*": "", "#": "bold yellow"}
# Python's own warnings are told there.
_WARNINGS: Final = "py.warnings"


class RedisFormatter(logging.Formatter):
    """Lines like ``4242:M 26 Nov 2026 02:15:05.123 * Ready to accept connections``.

    ``is_replica`` tells whether the letter is an S.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_replica: Callable[[], bool] = bool

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line; a traceback follows on lines of its own."""
        stamp = time.strftime("%d %b %Y %H:%M:%S", time.localtime(record.created))
        role = "S" if self.is_replica() else "M"
        head = f"{os.getpid()}:{role} {stamp}.{int(record.msecs):03}"
        text = f"{head} {mark_of(record.levelno)} {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def mark_of(level: int) -> str:
    """Return Redis's sign for a level: ``.-*#``."""
    return next((mark for above, mark in _MARKS if level < above), "#")


class TerminalHandler(logging.Handler):
    """Writes to a terminal, warnings in colour."""

    def __init__(self) -> None:
        super().__init__()
        # Imported here: a log in a file does without.
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        from rich.text import Text

        style = _STYLES[mark_of(record.levelno)]
        try:
            self.console.print(Text(self.format(record), style=style))
        except Exception:  # noqa: BLE001 - a log never ends a server
            self.handleError(record)


def start_logging(path: str) -> logging.Handler:
    """Write the log to a file, or to standard error when the path is empty.

    Raises
    ------
    OSError
        When the file cannot be opened.
    """
    handler: logging.Handler
    if path:
        # Opened anew when logrotate has moved it away.
        handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    elif sys.stderr.isatty():
        handler = TerminalHandler()
    else:
        handler = logging.StreamHandler()
    handler.setFormatter(RedisFormatter())
    logging.captureWarnings(True)
    for name in ("trignb", _WARNINGS):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.propagate = False
    set_level("notice")
    return handler


def show_role(handler: logging.Handler, is_replica: Callable[[], bool]) -> None:
    """Have the lines say whether a primary or a replica speaks."""
    if isinstance(handler.formatter, RedisFormatter):
        handler.formatter.is_replica = is_replica


def stop_logging(handler: logging.Handler) -> None:
    """Take back what `start_logging` did."""
    logging.captureWarnings(False)
    for name in ("trignb", _WARNINGS):
        logger = logging.getLogger(name)
        logger.removeHandler(handler)
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    handler.close()


def set_level(word: str) -> None:
    """Follow ``loglevel``."""
    for name in ("trignb", _WARNINGS):
        logging.getLogger(name).setLevel(_LEVELS[word])
