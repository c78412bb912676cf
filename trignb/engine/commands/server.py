"""The server group: CONFIG, INFO, SLOWLOG, MEMORY, MODULE, TIME, ROLE, LOLWUT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trignb.engine.args import syntax_error, to_int
from trignb.engine.commands.connection import wrong_subcommand
from trignb.engine.help import help_lines
from trignb.engine.rewriting import rewrite_file
from trignb.engine.sizes import STARTUP_BYTES, VALUE_SAMPLES, estimate_key
from trignb.engine.spec import CommandFamily
from trignb.engine.stats import REDIS_VERSION, info_text, reset_stats
from trignb.errors import ResponseError
from trignb.reply import OK, Status, Verbatim

if TYPE_CHECKING:
    from trignb.engine.session import Session

family = CommandFamily("server")
command = family.command

Args = list[bytes]

_TOO_LITTLE_TO_JUDGE: Final = 5 << 20


@command("MONITOR")
def monitor(s: Session, args: Args) -> Status:
    """Tells this client of every command that runs."""
    if s.core.nesting > 1:
        raise ResponseError("ERR MONITOR isn't allowed for DENY BLOCKING client")
    s.core.monitors.start(s)
    return OK


# -- CONFIG


@command("CONFIG GET")
def config_get(s: Session, args: Args) -> dict[bytes, bytes]:
    """Returns the values of parameters."""
    return s.core.config.get(*args[2:])


@command("CONFIG SET")
def config_set(s: Session, args: Args) -> Status:
    """Changes parameters, all of those given or none."""
    if len(args) % 2:
        raise syntax_error()
    words = [arg.decode("utf-8", "surrogateescape") for arg in args[2:]]
    pairs = zip(words[::2], words[1::2], strict=True)
    s.core.config.set(pairs, is_local=s.is_local)
    return OK


@command("CONFIG RESETSTAT")
def config_resetstat(s: Session, args: Args) -> Status:
    """Sets the counters of INFO to zero."""
    reset_stats(s.core)
    return OK


@command("CONFIG REWRITE")
def config_rewrite(s: Session, args: Args) -> Status:
    """Writes the configuration file anew; only an engine that is served has one."""
    config = s.core.config
    if not config.file:
        raise ResponseError("ERR The server is running without a config file")
    try:
        rewrite_file(config.file, config, s.core.permissions.declarations())
    except OSError as error:
        raise ResponseError(f"ERR Rewriting config file: {error.strerror}") from None
    return OK


@command("CONFIG HELP")
def config_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of CONFIG."""
    return help_lines(s, b"CONFIG")


# -- the engine at large


@command("INFO")
def info(s: Session, args: Args) -> Verbatim:
    """Tells about the engine: sections of names and values."""
    names = [arg.decode("utf-8", "replace") for arg in args[1:]]
    own = s.core.table.by_name["info"]
    if "latencystats" in map(str.lower, names):
        s.core.timing.want_histograms()
    # Redis counts a command when it ends.
    own.calls -= 1
    try:
        text = info_text(s.core, names)
    finally:
        own.calls += 1
    return Verbatim(text.encode("utf-8", "surrogateescape"))


@command("TIME")
def time(s: Session, args: Args) -> list[bytes]:
    """Returns the engine's time: seconds and microseconds."""
    seconds, rest = divmod(s.core.now_ns(), 1_000_000_000)
    return [b"%d" % seconds, b"%d" % (rest // 1000)]


@command("LOLWUT")
def lolwut(s: Session, args: Args) -> Verbatim:
    """Shows the version."""
    if len(args) > 2 and args[1].upper() == b"VERSION":
        to_int(args[2])
    return Verbatim(f"Redis ver. {REDIS_VERSION}\n".encode())


# -- MODULE


@command("MODULE LIST")
def module_list(s: Session, args: Args) -> list[Any]:
    """Lists the modules, which are built in here."""
    return [dict(module) for module in s.core.modules]


@command("MODULE LOAD")
def module_load(s: Session, args: Args) -> Status:
    """Loads a module; there is no room for compiled ones here."""
    raise _no_modules(s, "loading")


@command("MODULE LOADEX")
def module_loadex(s: Session, args: Args) -> Status:
    """Loads a module with parameters; there is no room for compiled ones here."""
    raise _no_modules(s, "loading")


@command("MODULE UNLOAD")
def module_unload(s: Session, args: Args) -> Status:
    """Unloads a module; what is built in stays."""
    raise _no_modules(s, "unloading")


def _no_modules(s: Session, doing: str) -> ResponseError:
    refusal = s.core.config.refusal_of("module", is_local=s.is_local)
    if refusal is not None:
        return ResponseError(refusal)
    if doing == "unloading":
        return ResponseError(
            "ERR Error unloading module: no such module with that name"
        )
    return ResponseError(
        "ERR Error loading the extension. Please check the server logs."
    )


@command("MODULE HELP")
def module_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of MODULE."""
    return help_lines(s, b"MODULE")


# -- SLOWLOG


@command("SLOWLOG GET")
def slowlog_get(s: Session, args: Args) -> list[Any]:
    """Returns slow commands, the latest first."""
    if len(args) > 3:
        raise wrong_subcommand(args)
    wanted = 10
    if len(args) == 3:
        wanted = to_int(args[2], "ERR count should be greater than or equal to -1")
        if wanted < -1:
            raise ResponseError("ERR count should be greater than or equal to -1")
    log = s.core.slowlog
    log.begin()
    records = list(log.records)
    return [list(record) for record in (records if wanted < 0 else records[:wanted])]


@command("SLOWLOG LEN")
def slowlog_len(s: Session, args: Args) -> int:
    """Counts the slow commands noted."""
    s.core.slowlog.begin()
    return len(s.core.slowlog.records)


@command("SLOWLOG RESET")
def slowlog_reset(s: Session, args: Args) -> Status:
    """Forgets the slow commands noted."""
    s.core.slowlog.begin()
    s.core.slowlog.clear()
    return OK


@command("SLOWLOG HELP")
def slowlog_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of SLOWLOG."""
    return help_lines(s, b"SLOWLOG")


# -- MEMORY; all figures are estimates


@command("MEMORY USAGE")
def memory_usage(s: Session, args: Args) -> int | None:
    """Estimates the bytes a key takes."""
    samples = VALUE_SAMPLES
    for i in range(3, len(args), 2):
        if args[i].upper() != b"SAMPLES" or i + 1 == len(args):
            raise syntax_error()
        samples = to_int(args[i + 1])
        if samples < 0:
            raise syntax_error()
    if s.db.peek(args[2]) is None:
        return None
    return estimate_key(s.db, args[2], samples)


def _none() -> int:
    return 0


@command("MEMORY STATS")
def memory_stats(s: Session, args: Args) -> dict[bytes, Any]:
    """Estimates where memory goes."""
    core = s.core
    counted = core.info_counts
    used = core.memory.used()
    dataset = used - STARTUP_BYTES
    core.peak_bytes = peak = max(core.peak_bytes, used)
    keys = sum(len(db.data) for db in core.databases)
    overheads = {
        b"db.%d" % db.index: {
            b"overhead.hashtable.main": 0,
            b"overhead.hashtable.expires": 0,
            b"overhead.hashtable.slot-to-keys": 0,
        }
        for db in core.databases
        if db.data
    }
    return {
        b"peak.allocated": peak,
        b"total.allocated": used,
        b"startup.allocated": STARTUP_BYTES,
        b"replication.backlog": 0,
        b"clients.slaves": 0,
        b"clients.normal": 0,
        b"cluster.links": 0,
        b"aof.buffer": 0,
        b"lua.caches": counted.get("used_memory_scripts_eval", _none)(),
        b"functions.caches": counted.get("used_memory_functions", _none)(),
        **overheads,
        b"overhead.total": STARTUP_BYTES,
        b"keys.count": keys,
        b"keys.bytes-per-key": dataset // keys if keys else 0,
        b"dataset.bytes": dataset,
        b"dataset.percentage": 100.0 if dataset else 0.0,
        b"peak.percentage": 100 * used / peak,
        b"allocator.allocated": used,
        b"allocator.active": used,
        b"allocator.resident": used,
        b"allocator-fragmentation.ratio": 1.0,
        b"allocator-fragmentation.bytes": 0,
        b"allocator-rss.ratio": 1.0,
        b"allocator-rss.bytes": 0,
        b"rss-overhead.ratio": 1.0,
        b"rss-overhead.bytes": 0,
        b"fragmentation": 1.0,
        b"fragmentation.bytes": 0,
    }


@command("MEMORY DOCTOR")
def memory_doctor(s: Session, args: Args) -> Verbatim:
    """Looks for memory problems; there are none it could see."""
    if s.core.memory.used() > _TOO_LITTLE_TO_JUDGE:
        return Verbatim(
            b"Hi Sam, I can't find any memory issue in your instance. "
            b"I can only account for what occurs on this base.\n"
        )
    return Verbatim(
        b"Hi Sam, this instance is empty or is using very little memory, my issues "
        b"detector can't be used in these conditions. Please, leave for your mission on "
        b"Earth and fill it with some data. The new Sam and I will be back to our "
        b"programming as soon as I finished rebooting.\n"
    )


@command("MEMORY PURGE")
def memory_purge(s: Session, args: Args) -> Status:
    """Gives memory back to the system, which Python does on its own."""
    return OK


@command("MEMORY MALLOC-STATS")
def memory_malloc_stats(s: Session, args: Args) -> Verbatim:
    """Tells about the allocator."""
    return Verbatim(b"Stats not supported for the current allocator")


@command("MEMORY HELP")
def memory_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of MEMORY."""
    return help_lines(s, b"MEMORY")
