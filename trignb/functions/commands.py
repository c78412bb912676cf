"""TFUNCTION, TFCALL, TFCALLASYNC, TCONFIG_GET, TCONFIG_SET and the internal commands.

Source: triggers and functions, sections 2, 4, 11 and 14.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.args import wrong_arity
from trignb.engine.spec import (
    MAY_REPLICATE,
    MODULE,
    MOVABLEKEYS,
    NOSCRIPT,
    CommandFamily,
    Facts,
    Handler,
)
from trignb.errors import ResponseError
from trignb.functions.calls import call_function, parse_count
from trignb.functions.config import PREFIX
from trignb.functions.debug import debug
from trignb.functions.failures import error_line
from trignb.functions.listing import parse_list_arguments
from trignb.reply import OK, Reply, Status

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.functions.registry import Registry

__all__ = ["make_family"]

Args = list[bytes]

# What Redis says to a module command that would have to block the client.
_IN_TRANSACTION: Final = "ERR Blocking module command called from transaction"
# In the notation of the command table; a function may do anything with its keys.
_DECLARED_KEYS: Final = (
    "index(index=2)keynum(keynumidx=0,firstkey=1,keystep=1)[RW,access,update]"
)
_KEY_AT_3: Final = "index(index=3)range(lastkey=0,keystep=1,limit=0)[RW,access,update]"
_INTERNAL_ONLY: Final = (
    "Internal command should only be sent from primary or loaded from AOF"
)


def _facts(
    name: str,
    arity: int,
    flags: int = MAY_REPLICATE | NOSCRIPT,
    keys: tuple[int, int, int] = (0, 0, 0),
    key_specs: str = "",
) -> Facts:
    return Facts(
        name=name,
        arity=arity,
        flags=flags | MODULE,
        acl_categories=(),
        first_key=keys[0],
        last_key=keys[1],
        key_step=keys[2],
        since="7.2.0",
        group="module",
        deprecated_since="",
        tips=(),
        key_specs=key_specs,
        kind="command",
    )


def make_family(registry: Registry) -> CommandFamily:
    """Return the commands of one engine's registry."""
    family = CommandFamily("module")
    config = registry.core.config
    call_traits = (MAY_REPLICATE | NOSCRIPT | MOVABLEKEYS, (0, 0, 0), _DECLARED_KEYS)

    def command(name: str, arity: int, *traits: Any) -> Callable[[Handler], Handler]:
        return family.command(name, facts=_facts(name, arity, *traits))

    @command("tfunction", -2)
    def tfunction(s: Session, args: Args) -> Reply:
        """Loads, lists and deletes libraries."""
        return _tfunction(registry, s, args)

    @command("tfcall", -3, *call_traits)
    def tfcall(s: Session, args: Args) -> Reply:
        """Calls a function of a library."""
        return call_function(registry, s, args, is_async=False)

    @command("tfcallasync", -3, *call_traits)
    def tfcallasync(s: Session, args: Args) -> Reply:
        """Calls a function of a library; it may finish in the background."""
        return call_function(registry, s, args, is_async=True)

    @command("tconfig_get", -2)
    def tconfig_get(_s: Session, args: Args) -> Reply:
        """Returns parameters of triggers and functions."""
        return config.get(*(PREFIX.encode() + name for name in args[1:]))

    @command("tconfig_set", -3)
    def tconfig_set(_s: Session, args: Args) -> Reply:
        """Changes parameters of triggers and functions."""
        if not len(args) & 1:
            raise wrong_arity("tconfig_set")
        words = [arg.decode("utf-8", "surrogateescape") for arg in args[1:]]
        names, values = words[::2], words[1::2]
        config.set(zip((PREFIX + n for n in names), values, strict=True))
        return OK

    @command("_rg_internals.function", -3)
    def internal_function(s: Session, args: Args) -> Reply:
        """Loads or deletes a library on behalf of a primary or the AOF."""
        return _internal_function(registry, s, args)

    @command(
        "_rg_internals.update_stream_last_read_id",
        6,
        MAY_REPLICATE | NOSCRIPT,
        (3, 3, 1),
        _KEY_AT_3,
    )
    def internal_position(s: Session, args: Args) -> Reply:
        """Moves a stream trigger's position on behalf of a primary or the AOF."""
        return _internal_position(registry, s, args)

    return family


# -- TFUNCTION


def _tfunction(registry: Registry, session: Session, args: Args) -> Reply:
    try:
        word = args[1].decode().lower()
    except UnicodeDecodeError:
        raise ResponseError("Couldn't parse as UTF-8 string") from None
    if word == "load":
        _refuse_transaction(registry)
        return _load(registry, session.user, args[2:])
    if word == "list":
        return registry.describe(parse_list_arguments(args[2:]))
    if word == "delete":
        _refuse_transaction(registry)
        return _delete(registry, args[2:])
    if word == "debug":
        return debug(registry, args[2:])
    raise ResponseError(error_line(f"Unknown subcommand {word}"))


def _refuse_transaction(registry: Registry) -> None:
    """Refuse where Redis cannot block the client; Redis would go on all the same."""
    if registry.core.nesting > 1:
        raise ResponseError(_IN_TRANSACTION)


def _load(
    registry: Registry, user: str, args: Args, *, is_internal: bool = False
) -> Status:
    """Read ``[REPLACE] [CONFIG json] code``, load, and propagate the load."""
    replace = is_internal
    configuration: bytes | None = None
    given_user: bytes | None = None
    wants_debugger = False
    code: bytes | None = None
    rest = iter(args)
    for arg in rest:
        keyword = arg.lower()
        if keyword == b"replace":
            replace = True
        elif keyword in (b"config", b"user"):
            value = next(rest, None)
            if value is None:
                raise ResponseError("configuration value was not given")
            if keyword == b"user":
                given_user = value
            else:
                _check_configuration(value)
                configuration = value
        elif keyword == b"debug":
            wants_debugger = True
        else:
            code = arg
            break
    if code is None:
        raise ResponseError("Could not find library payload")
    text = _decode(code, "lib code must a valid string")
    if given_user is not None and not is_internal:
        raise ResponseError("Unknown argument user")
    if wants_debugger:
        raise ResponseError(
            "The debug server address was not specified in the configuration."
        )
    if given_user is not None:
        user = given_user.decode("utf-8", "replace")
    json_text = None if configuration is None else configuration.decode()
    registry.load(text, json_text, user, replace=replace, is_patient=is_internal)
    if registry.core.sinks:
        # In the form that replicas and the AOF understand.
        registry.core.propagate_as(
            [
                b"_rg_internals.function",
                b"load",
                *([b"REPLACE"] if replace else []),
                *([] if configuration is None else [b"CONFIG", configuration]),
                b"USER",
                user.encode(),
                code,
            ]
        )
    return OK


def _check_configuration(given: bytes) -> None:
    text = _decode(given, "given configuration value is not a valid string")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ResponseError(
            error_line(f"configuration must be a valid json, '{text}', {error}.")
        ) from None
    if not isinstance(value, dict):
        raise ResponseError("configuration must be a valid json object")


def _no_constant(name: str) -> None:
    # Python reads NaN and Infinity, JSON does not know them.
    raise ValueError(f"unexpected {name}")


def _decode(arg: bytes, error: str) -> str:
    try:
        return arg.decode()
    except UnicodeDecodeError:
        raise ResponseError(error) from None


def _delete(registry: Registry, args: Args, *, is_internal: bool = False) -> Status:
    if not args:
        raise ResponseError("function name was not given")
    name = _decode(args[0], "Couldn't parse as UTF-8 string")
    if not (is_internal and name not in registry.libraries):
        registry.delete(name)
    if registry.core.sinks:
        registry.core.propagate_as([b"_rg_internals.function", b"del", name.encode()])
    return OK


# -- for replicas and the AOF


def _check_sender(session: Session) -> None:
    if not (session.is_primary or session.core.is_loading):
        raise ResponseError(_INTERNAL_ONLY)


def _internal_function(registry: Registry, session: Session, args: Args) -> Reply:
    _check_sender(session)
    word = args[1].lower()
    if word == b"load":
        return _load(registry, session.user, args[2:], is_internal=True)
    if word == b"del":
        return _delete(registry, args[2:], is_internal=True)
    name = args[1].decode("utf-8", "replace").lower()
    raise ResponseError(error_line(f"Unknown subcommand {name}"))


def _internal_position(registry: Registry, session: Session, args: Args) -> Reply:
    _check_sender(session)
    library_name, trigger_name = (
        _decode(arg, "Couldn't parse as UTF-8 string") for arg in args[1:3]
    )
    library = registry.libraries.get(library_name)
    if library is None:
        raise ResponseError(error_line(f"No such library '{library_name}'"))
    trigger = library.stream_triggers.get(trigger_name)
    if trigger is None:
        raise ResponseError(error_line(f"No such consumer '{trigger_name}'"))
    trigger.stream(args[3]).last_read = parse_count(args[4]) << 64 | parse_count(
        args[5]
    )
    # A replica has an append-only file and replicas, too.
    registry.core.propagate_as(args)
    return OK
