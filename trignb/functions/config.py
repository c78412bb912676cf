"""The parameters of triggers and functions (``redisgears_2.…``).

See docs/semantics.md, Parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.parameters import (
    INT64_MAX,
    Parameter,
    boolean,
    choice,
    integer,
    memory,
    string,
)
from trignb.errors import ResponseError

if TYPE_CHECKING:
    from trignb.engine.config import Config

__all__ = ["PARAMETERS", "PREFIX", "add_parameters"]

PREFIX: Final = "redisgears_2."

_LOCK_TIMEOUT: Final = PREFIX + "lock-redis-timeout"
_LOADING_TIMEOUT: Final = PREFIX + "db-loading-lock-redis-timeout"
_MAX_TIMEOUT: Final = 1_000_000_000
_MB: Final = 1_000_000

PARAMETERS: Final[tuple[Parameter, ...]] = (
    integer(PREFIX + "error-verbosity", 1, 1, 2),
    integer(PREFIX + "execution-threads", 1, 1, 32, immutable=True),
    integer(PREFIX + "remote-task-default-timeout", 500, 1, INT64_MAX),
    integer(_LOCK_TIMEOUT, 500, 100, _MAX_TIMEOUT),
    integer(_LOADING_TIMEOUT, 30_000, 100, _MAX_TIMEOUT),
    memory(PREFIX + "v8-maxmemory", 200 * _MB, 50 * _MB, 1000 * _MB, immutable=True),
    memory(
        PREFIX + "v8-library-initial-memory-usage",
        2 * _MB,
        1 * _MB,
        10 * _MB,
        immutable=True,
    ),
    memory(
        PREFIX + "v8-library-initial-memory-limit",
        3 * _MB,
        2 * _MB,
        20 * _MB,
        immutable=True,
    ),
    memory(
        PREFIX + "v8-library-memory-usage-delta",
        1 * _MB,
        1 * _MB,
        10 * _MB,
        immutable=True,
    ),
    string(PREFIX + "gearsbox-address", "http://localhost:3000"),
    string(PREFIX + "v8-plugin-path", "libredisgears_v8_plugin.so", immutable=True),
    string(PREFIX + "v8-flags", "'--noexpose-wasm'", immutable=True),
    string(PREFIX + "v8-debug-server-address", "", immutable=True),
    boolean(PREFIX + "enable-debug-command", False, immutable=True),
    choice(PREFIX + "library-fatal-failure-policy", "Abort", ("Abort", "Kill")),
)


def _not_below_the_lock_timeout(
    values: Mapping[str, Any], parameter: Parameter
) -> Parameter:
    """Return the parameter; that of loading is compared as it is given.

    So ``lock-redis-timeout`` later in the same line raises it, and earlier refuses it.
    """
    if parameter.name != _LOADING_TIMEOUT:
        return parameter

    def parse(text: str, old: Any) -> int:
        timeout: int = parameter.parse(text, old)
        if timeout < values[_LOCK_TIMEOUT]:
            raise ResponseError(
                "The db-loading-lock-redis-timeout value can't be less than "
                "lock-redis-timeout value."
            )
        return timeout

    return replace(parameter, parse=parse)


def add_parameters(config: Config) -> None:
    """Add the parameters to an engine's table, with the rules that couple them."""
    values = config.values
    config.add(_not_below_the_lock_timeout(values, each) for each in PARAMETERS)

    def raise_loading_timeout(lock_timeout: int) -> None:
        if values[_LOADING_TIMEOUT] < lock_timeout:
            values[_LOADING_TIMEOUT] = lock_timeout

    def check_initial_usage(usage: int) -> None:
        if usage > values[PREFIX + "v8-library-initial-memory-limit"]:
            raise ResponseError(
                "V8 library initial memory usage can't be greater than its limit."
            )

    config.on_change(_LOCK_TIMEOUT, raise_loading_timeout)
    config.on_change(PREFIX + "v8-library-initial-memory-usage", check_initial_usage)
