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
from typing import Final, TextIO

__all__ = [
    "LEVELS",
    "VERBOSE",
    "set_level",
    "show_role",
    "start_logging",
    "stop_logging",
]

# Between Python's debug and info, as Redis's verbose is.
VERBOSE: Final = 15

LEVELS: Final = {
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


class BothStreams(logging.Handler):
    """Writes to standard error, and to standard output once the server is open.

    A server that does not start says why on standard error, and nothing else.
    """

    def __init__(self) -> None:
        super().__init__()
        self._error = logging.StreamHandler()
        self._output = logging.StreamHandler(sys.stdout)
        self._held: list[logging.LogRecord] | None = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or keep it."""
        self._error.handle(record)
        if self._held is None:
            self._output.handle(record)
        else:
            self._held.append(record)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - logging's own name
        """Have both write in one form."""
        super().setFormatter(fmt)
        self._error.setFormatter(fmt)
        self._output.setFormatter(fmt)

    def open(self) -> None:
        """Write what was kept, and everything else at once."""
        held, self._held = self._held or [], None
        for record in held:
            self._output.handle(record)


def start_logging(path: str) -> logging.Handler:
    """Write the log to a file, or to the standard streams when the path is empty.

    Redis's goes to standard output. A terminal gets it once, on standard error; so does a file
    or a pipe that both streams go to.

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
    elif _is_apart(sys.stdout):
        handler = BothStreams()
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


def _is_apart(stream: TextIO) -> bool:
    """Whether a stream is another file than standard error, and no terminal."""
    try:
        if stream.isatty():
            return False
        here, there = os.fstat(stream.fileno()), os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


def show_role(handler: logging.Handler, is_replica: Callable[[], bool]) -> None:
    """Have the lines say whether a primary or a replica speaks."""
    if isinstance(handler.formatter, RedisFormatter):
        handler.formatter.is_replica = is_replica


def open_output(handler: logging.Handler) -> None:
    """Have the log reach standard output, if that is one of the places it goes to."""
    if isinstance(handler, BothStreams):
        handler.open()


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
        logging.getLogger(name).setLevel(LEVELS[word])
