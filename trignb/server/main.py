"""A server as a process: settings, data, libraries, and the way to its end.

What ``trignb serve`` does once its arguments are read.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

from trignb.api import Engine
from trignb.engine.acl import AclError, UnknownName
from trignb.engine.parameters import PARAMETERS, Parameter
from trignb.engine.stats import REDIS_VERSION, package_version
from trignb.errors import JavaScriptError, ResponseError
from trignb.functions.config import PARAMETERS as FUNCTION_PARAMETERS
from trignb.functions.config import PREFIX
from trignb.persistence.loading import load
from trignb.server.directives import (
    Directive,
    DirectiveError,
    Settings,
    did_you_mean,
    read_directives,
    settle,
)
from trignb.server.ending import Ending
from trignb.server.loading import ServedWhileLoading
from trignb.server.logs import (
    LEVELS,
    open_output,
    set_level,
    show_role,
    start_logging,
    stop_logging,
)
from trignb.server.process import (
    Daemon,
    ignore_signals,
    notify_supervisor,
    pid_file,
    room_for,
)
from trignb.server.server import Server

__all__ = [
    "KNOWN",
    "declare_users",
    "follow_addresses",
    "serve_engine",
    "server_version",
]

logger = logging.getLogger(__name__)

KNOWN: Final = {
    name: parameter
    for parameter in (*PARAMETERS, *FUNCTION_PARAMETERS)
    for name in (parameter.name, parameter.alias)
    if name
}
# What the server lives by, or the engine's constructor; CONFIG SET could not set it.
_OWN: Final = ("port", "tls-port", "databases")
_DEFAULT_PORT: Final = "6379"
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FAILED: Final = re.compile(r"ERR CONFIG SET failed \(.*'(.*)'\) - (.*)", re.DOTALL)
_DAEMONS_PID_FILE: Final = "/var/run/redis.pid"


def serve_engine(
    args: Iterable[str],
    path: Path | None,
    libraries: Iterable[Path],
    gears: Iterable[str],
    seed: str | None = None,
    more: bytes | None = None,
) -> None:
    """Serve until the end of the process is asked for; chance follows `seed`.

    `more` are lines of a configuration that follow those of the file (standard input).

    Raises
    ------
    DirectiveError
        When directives cannot be read, or a value is refused.
    ResponseError
        When a library does not load.
    OSError
        When the port is taken or a file cannot be read.
    """
    settings = settle(read_directives(args, path, more), KNOWN)
    _add_gears(settings, gears)
    values = {name: _own(settings, name) for name in _OWN}
    daemon = Daemon()
    if _flag(settings, "daemonize"):
        daemon.leave()
    logfile = settings.values.get("logfile", "")
    handler = _start_log(settings, logfile)
    pidfile = _pid_file_of(settings)
    try:
        with (
            pid_file(pidfile),
            Engine(databases=values["databases"], seed=seed) as engine,
        ):
            core = engine.core
            show_role(handler, lambda: core.is_replica)
            for name, value in settings.defaults.items():
                core.config.replace_default(name, value)
            _configure(engine, settings, path)
            server = _open(engine, values)
            follow_addresses(engine, server)
            Ending(engine, server, partial(_tidy, pidfile, server))
            if _has_data(engine):
                _load_data(engine, server, partial(open_output, handler))
            _load_libraries(engine, libraries)
            _tell_readiness(server, handler, logfile)
            daemon.ready()
            server.run_forever()
            logger.warning("trignb is now ready to exit, bye bye...")
    finally:
        ignore_signals()
        stop_logging(handler)


def server_version() -> str:
    """Return what redis-server says of its version, with ours behind it."""
    return (
        f"Redis server v={REDIS_VERSION} sha=00000000:0 malloc=python bits=64 "
        f"build=0 (trignb {package_version()})"
    )


def _start_log(settings: Settings, logfile: str) -> logging.Handler:
    """Begin the log, with what redis-server says first."""
    try:
        handler = start_logging(logfile)
    except OSError as error:
        reason = f"Can't open the log file: {error.strerror}"
        raise DirectiveError(f"{reason}: {logfile}", reason=reason) from None
    level = settings.values.get("loglevel", "").lower()
    if level in LEVELS:
        set_level(level)
    logger.info("oO0OoO0OoO0Oo trignb is starting oO0OoO0OoO0Oo")
    logger.info(
        "Redis version=%s, bits=64, commit=00000000, modified=0, pid=%d, just started",
        *(REDIS_VERSION, os.getpid()),
    )
    logger.info("Configuration loaded")
    return handler


def _pid_file_of(settings: Settings) -> str:
    """Return where the process's number goes; a daemon has a place without asking."""
    given = settings.values.get("pidfile", "")
    return given or (_DAEMONS_PID_FILE if _flag(settings, "daemonize") else "")


def _tidy(pidfile: str, server: Server) -> None:
    """Remove what the process leaves on disk."""
    for path in [pidfile, *(x.path for x in server.listeners)]:
        if path:
            with contextlib.suppress(OSError):
                os.unlink(path)


# -- settings


def _add_gears(settings: Settings, gears: Iterable[str]) -> None:
    names = [each.name.removeprefix(PREFIX) for each in FUNCTION_PARAMETERS]
    for pair in gears:
        given, equals, value = pair.partition("=")
        name = given.strip().lower().removeprefix(PREFIX)
        if not equals:
            raise DirectiveError(f"--gears-config takes NAME=VALUE, not {pair!r}")
        if name not in names:
            hint = did_you_mean(name, names)
            raise DirectiveError(f"--gears-config: no such parameter: {given}{hint}")
        if type(KNOWN[PREFIX + name].default) is int and _INTEGER.fullmatch(value):
            settings.defaults[PREFIX + name] = int(value)
            continue
        settings.values[PREFIX + name] = value
        settings.origins[PREFIX + name] = Directive(name, (value,), "--gears-config")


def _own(settings: Settings, name: str) -> int:
    """Return a number that the configuration itself would not take."""
    text = settings.values.pop(name, None)
    if text is None:
        return int(_DEFAULT_PORT if name == "port" else KNOWN[name].default)
    # CONFIG SET refuses TLS without certificates; here they may come on another line.
    parameter = KNOWN["port" if name == "tls-port" else name]
    number: int = _parsed(settings, name, parameter, text)
    return number


def _flag(settings: Settings, name: str) -> bool:
    text = settings.values.get(name, "no")
    flag: bool = _parsed(settings, name, KNOWN[name], text)
    return flag


def _parsed(settings: Settings, name: str, parameter: Parameter, text: str) -> Any:
    try:
        return parameter.parse(text, parameter.default)
    except ResponseError as error:
        raise settings.origins[name].error(str(error)) from None


def _configure(engine: Engine, settings: Settings, path: Path | None) -> None:
    # Of a client that was there before passwords were.
    session = engine.session()
    core = engine.core
    if "dir" in settings.values:
        engine.saver.has_directory = True
    try:
        core.config.set_initial(settings.values)
    except ResponseError as error:
        raise _explained(error, settings) from None
    core.config.on_change("loglevel", set_level)
    core.config.file = "" if path is None else str(path.resolve())
    for directive in settings.renames:
        _rename(engine, directive)
    declare_users(engine, settings.users)
    if core.config.values["aclfile"]:
        session.execute("ACL", "LOAD")
    session.close()
    for warning in settings.warnings:
        logger.warning("%s", warning)


def _explained(error: ResponseError, settings: Settings) -> Exception:
    """Return the error with the line that caused it."""
    found = _FAILED.fullmatch(str(error))
    parameter = KNOWN.get(found[1]) if found else None
    if found is None or parameter is None:
        return error
    return settings.origins[parameter.name].error(found[2])


def _rename(engine: Engine, directive: Directive) -> None:
    if len(directive.values) != 2:
        raise directive.ill_formed()
    old, new = (word.encode("utf-8", "surrogateescape") for word in directive.values)
    try:
        engine.core.table.rename(old, new)
    except ResponseError as error:
        raise directive.error(str(error)) from None


def declare_users(engine: Engine, users: Iterable[Directive]) -> None:
    """Make the users that a configuration declares; raises DirectiveError."""
    config, seen = engine.core.config.values, set[str]()
    for directive in users:
        if not directive.values:
            raise directive.ill_formed()
        if config["aclfile"]:
            raise directive.error("users are either declared here or in the aclfile")
        name, *rules = directive.values
        if name in seen:
            raise directive.error(
                f"Error in user declaration '{name}': Duplicate user found. "
                "A user can only be defined once in config files"
            )
        seen.add(name)
        try:
            engine.core.permissions.declare_user(name, rules)
        except UnknownName as error:
            raise DirectiveError(
                f"Error loading ACL rule '{error.rule}' for the user named '{name}': "
                f"{error}"
            ) from None
        except AclError as error:
            # Redis shows the word two before the rule that it refuses.
            shown = ("user", *directive.values)[error.place]
            raise directive.error(
                f"Error in user declaration '{shown}': {error}"
            ) from None


# -- contents


def _has_data(engine: Engine) -> bool:
    """Whether there is a file to be loaded."""
    is_kept = engine.saver.has_directory and Path(engine.saver.path).exists()
    return bool(engine.core.config.values["appendonly"] or is_kept)


def _load_data(engine: Engine, server: Server, opens: Callable[[], None]) -> None:
    """Load what was kept; clients that come meanwhile are told to wait."""
    file = Path(engine.saver.path)
    with ServedWhileLoading(server, opens) as served:
        if engine.aof.start(served.step, served.every) is not None:
            # As in Redis no other file counts then.
            return
        began = time.monotonic()
        contents = load(
            engine.core,
            engine.lua_libraries,
            file.read_bytes(),
            spare=True,
            progress=served.step,
            every=served.every,
        )
    keys = sum(len(each.data) for each in contents.databases.values())
    seconds = time.monotonic() - began
    logger.info(
        "Done loading RDB, keys loaded: %d, keys expired: %d.", keys, contents.expired
    )
    logger.info("DB loaded from disk: %d keys, %.3f seconds", keys, seconds)


def _load_libraries(engine: Engine, paths: Iterable[Path]) -> None:
    """Load libraries; what the data file had of them is replaced, but not one of ours."""
    loaded: dict[str, Path] = {}
    for path in paths:
        try:
            library = engine.load(path.read_text("utf-8"), replace=True)
        except JavaScriptError as error:
            where = f":{error.line}:{error.column or 1}" if error.line else ""
            raise ResponseError(f"{path}{where}: {error}") from None
        except ResponseError as error:
            raise ResponseError(f"{path}: {error}") from None
        if library.name in loaded:
            raise DirectiveError(
                f"{path}: library {library.name!r} is also that of {loaded[library.name]}"
            )
        loaded[library.name] = path
        logger.info("library %s loaded from %s", library.name, path)


# -- running


def _open(engine: Engine, own: dict[str, int]) -> Server:
    values = engine.core.config.values
    clients = room_for(values["maxclients"])
    if clients < values["maxclients"]:
        logger.warning(
            "maxclients is %d instead of %d: the system allows no more open files "
            "(ulimit -n)",
            clients,
            values["maxclients"],
        )
        values["maxclients"] = clients
    is_bound = values["bind"] != KNOWN["bind"].default
    hosts = values["bind"] if is_bound else "127.0.0.1"
    port, tls_port = own["port"], own["tls-port"]
    # Without any place to listen at, any free port is better than none.
    listens_elsewhere = bool(tls_port or values["unixsocket"])
    server = Server(
        engine.core,
        hosts,
        None if listens_elsewhere and not port else port,
        unixsocket=values["unixsocket"],
        tls_port=tls_port or None,
    )
    values["bind"], values["tls-port"] = hosts, server.tls_port
    return server


def follow_addresses(engine: Engine, server: Server) -> None:
    """Have CONFIG SET of ``bind`` and ``port`` move the server."""
    config = engine.core.config
    values = config.values

    def move_or_refuse(reason: str) -> Callable[[object], None]:
        def move(_value: object) -> None:
            try:
                server.move(values["bind"], values["port"])
            except OSError as error:
                logger.warning("%s", error)
                raise ResponseError(reason) from None

        return move

    config.on_change("bind", move_or_refuse("Failed to bind to specified addresses."))
    config.on_change(
        "port", move_or_refuse("Unable to listen on this port. Check server logs.")
    )


def _tell_readiness(server: Server, handler: logging.Handler, logfile: str) -> None:
    """Say that clients may come: somebody waits for it, whatever ``loglevel`` leaves out."""
    logger.info("Running mode=standalone, port=%d.", server.port or server.tls_port)
    logger.info("Server initialized")
    open_output(handler)
    places = ", ".join(listener.shown for listener in server.listeners)
    text = f"Ready to accept connections on {places}"
    handler.handle(
        logger.makeRecord(logger.name, logging.INFO, __file__, 0, text, (), None)
    )
    if logfile:
        # Who started it looks at the terminal, not at the file.
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    notify_supervisor()
