"""The parameters of Redis 7.2: names, defaults, how values are read and printed.

Long because it is a table. What concerns sockets, TLS, processes or a cluster is kept and answered,
so that a client's or a test suite's CONFIG SET works, and has no effect here.
"""

from __future__ import annotations

import ctypes
import locale
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from trignb.engine.events import format_flags, parse_flags
from trignb.errors import ResponseError

__all__ = [
    "PARAMETERS",
    "Parameter",
    "boolean",
    "choice",
    "integer",
    "memory",
    "parse_memory",
    "string",
]

INT_MAX: Final = (1 << 31) - 1
UINT_MAX: Final = (1 << 32) - 1
INT64_MAX: Final = (1 << 63) - 1
UINT64_MAX: Final = (1 << 64) - 1

MEGABYTE: Final = 1 << 20

Parser = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of the configuration.

    ``parse(text, old value)`` raises ResponseError with the reason only; the frame around it
    is CONFIG SET's. A hidden parameter is found by its exact name only, a protected one is
    changed only with ``enable-protected-configs``. Values end at a zero byte, as C's texts do,
    unless they are ``binary``. ``kind`` is ``text``, ``memory`` or empty: how a file has it.
    """

    name: str
    default: Any
    parse: Parser
    show: Callable[[Any], str] = str
    alias: str = ""
    immutable: bool = False
    hidden: bool = False
    protected: bool = False
    binary: bool = False
    kind: str = ""


# -- kinds of values


def string(name: str, default: str = "", alias: str = "", **traits: Any) -> Parameter:
    """Return a parameter that takes any text."""
    return Parameter(
        name, default, lambda text, _: text, str, alias, kind="text", **traits
    )


def boolean(name: str, default: bool, alias: str = "", **traits: Any) -> Parameter:
    """Return a parameter that is ``yes`` or ``no``."""
    return Parameter(name, default, _parse_boolean, _show_boolean, alias, **traits)


def choice(
    name: str, default: str, words: tuple[str, ...], alias: str = "", **traits: Any
) -> Parameter:
    """Return a parameter that takes one of some words, in any case."""
    known = {word.lower(): word for word in words}

    def parse(text: str, _: Any) -> str:
        if text.lower() not in known:
            raise _not_among(words)
        return known[text.lower()]

    return Parameter(name, default, parse, str, alias, **traits)


def integer(
    name: str, default: int, low: int, high: int, alias: str = "", **traits: Any
) -> Parameter:
    """Return a parameter that takes an integer within bounds."""

    def parse(text: str, _: Any) -> int:
        return _within(_parse_integer(text), low, high)

    return Parameter(name, default, parse, str, alias, binary=True, **traits)


def memory(
    name: str,
    default: int,
    low: int = 0,
    high: int = INT64_MAX,
    alias: str = "",
    **traits: Any,
) -> Parameter:
    """Return a parameter that takes bytes, with a unit or without: ``100mb``."""

    def parse(text: str, _: Any) -> int:
        value = parse_memory(text)
        if value is None:
            raise ResponseError("argument must be a memory value")
        return _within(value, low, high)

    return Parameter(name, default, parse, str, alias, kind="memory", **traits)


def _parse_boolean(text: str, _: Any) -> bool:
    word = text.lower()
    if word not in ("yes", "no"):
        raise ResponseError("argument must be 'yes' or 'no'")
    return word == "yes"


def _show_boolean(value: bool) -> str:
    return "yes" if value else "no"


_CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_MEMORY = re.compile(r"([0-9]*)([a-zA-Z]*)")
_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1 << 10,
    "m": 1000**2,
    "mb": 1 << 20,
    "g": 1000**3,
    "gb": 1 << 30,
}


def _parse_integer(text: str) -> int:
    if _CANONICAL_INTEGER.fullmatch(text) is None or abs(int(text)) > INT64_MAX + (
        text[0] == "-"
    ):
        raise ResponseError("argument couldn't be parsed into an integer")
    return int(text)


def parse_memory(text: str) -> int | None:
    """Return the bytes a text stands for, None when it is not one.

    No digits are a zero and a product too large wraps around, as in Redis.
    """
    match = _MEMORY.fullmatch(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        return None
    return min(int(match[1] or "0"), UINT64_MAX) * unit & UINT64_MAX


def _within(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise ResponseError(f"argument must be between {low} and {high} inclusive")
    return value


def _not_among(words: tuple[str, ...]) -> ResponseError:
    return ResponseError(
        f"argument(s) must be one of the following: {', '.join(words)}"
    )


# -- single parameters with rules of their own


def _parse_hz(text: str, _: Any) -> int:
    return min(max(_within(_parse_integer(text), 0, INT_MAX), 1), 500)


def _parse_backlog_size(text: str, _: Any) -> int:
    value = parse_memory(text)
    if value is None:
        raise ResponseError("argument must be a memory value")
    return max(_within(value, 1, INT64_MAX), 16 << 10)


def _parse_octal(text: str, _: Any) -> int:
    if re.fullmatch(r"[0-7]+", text) is None:
        raise ResponseError("argument couldn't be parsed as an octal number")
    value = int(text, 8)
    if value > 0o777:
        raise ResponseError("argument must be between 0 and 777 inclusive")
    return value


def _parse_client_memory(text: str, _: Any) -> int:
    """Read bytes, or a percentage of maxmemory, kept as a negative number."""
    if text.endswith("%"):
        if _CANONICAL_INTEGER.fullmatch(text[:-1]) and text[0] != "-":
            if int(text[:-1]) > 100:
                raise ResponseError("percentage argument must be less or equal to 100")
            return -int(text[:-1])
    else:
        value = parse_memory(text)
        if value is not None:
            # What is too large is negative to Redis, and so a percentage.
            value -= value >> 63 << 64
            if value < -100:
                raise ResponseError("percentage argument must be less or equal to 100")
            return value
    raise ResponseError("argument must be a memory or percent value")


def _show_client_memory(value: int) -> str:
    return f"{-value}%" if value < 0 else str(value)


# What C's strtol takes as a whole; nothing is a zero to it.
_SMALL_NUMBER = re.compile(r"([+-]?[0-9]+)?")


def _parse_save(text: str, _: Any) -> tuple[tuple[int, int], ...]:
    """Read save points: pairs of seconds and changes; the empty text is none."""
    if not text:
        return ()
    numbers = []
    for word in text.split(" "):
        if _SMALL_NUMBER.fullmatch(word) is None:
            raise ResponseError("Invalid save parameters")
        numbers.append(int(word or "0"))
    points = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    if len(numbers) % 2 or any(s < 1 or changes < 0 for s, changes in points):
        raise ResponseError("Invalid save parameters")
    return points


def _show_words(value: tuple[tuple[int, int], ...]) -> str:
    return " ".join(str(number) for point in value for number in point)


_BUFFER_CLASSES = ("normal", "slave", "pubsub")


def _parse_buffer_limits(text: str, old: dict[str, Any]) -> dict[str, Any]:
    """Read groups of class, hard limit, soft limit, seconds; other classes stay."""
    words = text.split(" ") if text else []
    if len(words) % 4:
        raise ResponseError("Wrong number of arguments in buffer limit configuration.")
    limits = dict(old)
    for i in range(0, len(words), 4):
        kind = words[i].lower().replace("replica", "slave")
        if kind not in _BUFFER_CLASSES:
            raise ResponseError(
                "Invalid client class specified in buffer limit configuration."
            )
        hard, soft = parse_memory(words[i + 1]), parse_memory(words[i + 2])
        seconds = words[i + 3] or "0"
        if hard is None or soft is None or not seconds.isdigit():
            raise ResponseError(
                "Error in hard, soft or soft_seconds setting in "
                "buffer limit configuration."
            )
        limits[kind] = (hard, soft, int(seconds))
    return limits


def _show_buffer_limits(value: dict[str, Any]) -> str:
    return " ".join(f"{kind} %d %d %d" % value[kind] for kind in _BUFFER_CLASSES)


def _parse_oom_scores(text: str, _: Any) -> tuple[int, ...]:
    words = text.split(" ")
    if len(words) != 3:
        raise ResponseError("wrong number of arguments")
    if any(
        _SMALL_NUMBER.fullmatch(w) is None or abs(int(w or "0")) > 2000 for w in words
    ):
        raise ResponseError(
            "Invalid oom-score-adj-values, elements must be between -2000 and 2000."
        )
    return tuple(int(word or "0") for word in words)


def _show_numbers(value: tuple[int, ...]) -> str:
    return " ".join(map(str, value))


def _parse_percentiles(text: str, _: Any) -> tuple[float, ...]:
    values = []
    for word in text.split(" ") if text else ():
        try:
            value = float.fromhex(word) if "x" in word.lower() else float(word)
        except (OverflowError, ValueError):
            value = float("nan")
        if value != value or word != word.strip() or "_" in word:
            raise ResponseError("Invalid latency-tracking-info-percentiles parameters")
        if not 0 <= value <= 100:
            raise ResponseError(
                "latency-tracking-info-percentiles parameters "
                "should sit between [0.0,100.0]"
            )
        values.append(value)
    return tuple(values)


def show_percentile(value: float) -> str:
    """Return a percentile with the decimals it needs."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _show_percentiles(value: tuple[float, ...]) -> str:
    return " ".join(map(show_percentile, value))


_SHUTDOWN_WORDS = ("default", "save", "nosave", "now", "force")


def _parse_shutdown(text: str, _: Any) -> frozenset[str]:
    words = {word.lower() for word in text.split(" ")}
    if not words <= set(_SHUTDOWN_WORDS):
        raise _not_among(_SHUTDOWN_WORDS)
    if {"save", "nosave"} <= words:
        raise ResponseError(
            "shutdown options SAVE and NOSAVE can't be used simultaneously"
        )
    return frozenset(words - {"default"})


def _show_shutdown(value: frozenset[str]) -> str:
    return " ".join(word for word in _SHUTDOWN_WORDS if word in value) or "default"


_TITLE_VARIABLES = {
    "title",
    "listen-addr",
    "server-mode",
    "port",
    "tls-port",
    "unixsocket",
    "config-file",
}


def _parse_title_template(text: str, _: Any) -> str:
    plain = re.sub(r"\{\{", "", text)
    names = re.findall(r"\{([^}]*)\}", plain)
    rest = re.sub(r"\{[^}]*\}", "", plain)
    # The title itself is empty when Redis tries a template out.
    is_empty = not rest.strip(" ") and all(
        name in ("title", "unixsocket") for name in names
    )
    if "{" in rest or not set(names) <= _TITLE_VARIABLES or (is_empty and text != "{{"):
        raise ResponseError("template format is invalid or contains unknown variables")
    return text


def _parse_hostname(text: str, _: Any) -> str:
    if len(text) >= 256:
        raise ResponseError("Hostnames must be less than 256 characters")
    if re.fullmatch(r"[A-Za-z0-9.-]*", text) is None:
        raise ResponseError(
            "Hostnames may only contain alphanumeric characters, hyphens or dots"
        )
    return text


def _parse_nodename(text: str, _: Any) -> str:
    if re.search(r"[\0!#-&(-+:;<>?@[\]^{-~]", text):
        raise ResponseError("Announced human node name contained invalid character")
    return text


def _parse_locale(text: str, _: Any) -> str:
    """Read a locale's name; it is not applied, as it would be to the whole process."""
    libc = ctypes.CDLL(None)
    libc.newlocale.restype = ctypes.c_void_p
    name = text.encode("utf-8", "surrogateescape")
    found = libc.newlocale(1 << locale.LC_COLLATE, name, None)
    if not found:
        raise ResponseError("Invalid locale name")
    libc.freelocale(ctypes.c_void_p(found))
    return text


def _parse_file_name(text: str, _: Any) -> str:
    if "/" in text:
        raise ResponseError("dbfilename can't be a path, just a filename")
    return text


def _parse_append_name(text: str, _: Any) -> str:
    if "/" in text:
        raise ResponseError("appendfilename can't be a path, just a filename")
    return text


def _parse_directory(text: str, _: Any) -> str:
    """Read ``dir``; a notebook's own working directory is never changed."""
    if not os.path.isdir(text):
        raise ResponseError("No such file or directory")
    return os.path.abspath(text)


def _parse_bind(text: str, _: Any) -> str:
    if len(text.split()) > 16:
        raise ResponseError("Too many bind addresses specified.")
    return text


def _parse_tls_port(text: str, _: Any) -> int:
    port = _within(_parse_integer(text), 0, 65535)
    if port:
        raise ResponseError("Unable to update TLS configuration. Check server logs.")
    return port


_SYSLOG_FACILITIES = ("user", *(f"local{n}" for n in range(8)))

_POLICIES = (
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
)

_LOCAL_ONLY = ("no", "yes", "local")

PARAMETERS: Final = (
    # -- sockets and the process
    Parameter("bind", "* -::*", _parse_bind),
    string("bind-source-addr"),
    # 0 is "listens to nothing", until a server stands beside the engine.
    integer("port", 0, 0, 65535),
    integer("tcp-backlog", 511, 0, INT_MAX, immutable=True),
    integer("tcp-keepalive", 300, 0, INT_MAX),
    integer("timeout", 0, 0, INT_MAX),
    string("unixsocket", immutable=True),
    Parameter("unixsocketperm", 0, _parse_octal, "{:o}".format, immutable=True),
    integer("socket-mark-id", 0, 0, UINT_MAX, immutable=True),
    boolean("protected-mode", True),
    choice("enable-protected-configs", "no", _LOCAL_ONLY, immutable=True),
    choice("enable-debug-command", "no", _LOCAL_ONLY, immutable=True),
    choice("enable-module-command", "no", _LOCAL_ONLY, immutable=True),
    integer("maxclients", 10000, 1, UINT_MAX),
    boolean("daemonize", False, immutable=True),
    choice("supervised", "no", ("upstart", "systemd", "auto", "no"), immutable=True),
    string("pidfile", immutable=True),
    choice("loglevel", "notice", ("debug", "verbose", "notice", "warning", "nothing")),
    string("logfile", immutable=True),
    boolean("syslog-enabled", False, immutable=True),
    string("syslog-ident", "redis", immutable=True),
    choice("syslog-facility", "local0", _SYSLOG_FACILITIES, immutable=True),
    boolean("crash-log-enabled", True),
    boolean("crash-memcheck-enabled", True),
    boolean("use-exit-on-panic", False, hidden=True),
    integer("watchdog-period", 0, 0, INT_MAX, hidden=True),
    integer("databases", 16, 1, INT_MAX, immutable=True),
    boolean("always-show-logo", False, immutable=True),
    boolean("set-proc-title", True, immutable=True),
    Parameter(
        "proc-title-template",
        "{title} {listen-addr} {server-mode}",
        _parse_title_template,
    ),
    Parameter("locale-collate", "", _parse_locale),
    integer("io-threads", 1, 1, 128, immutable=True),
    boolean("io-threads-do-reads", False, immutable=True),
    string("server_cpulist", immutable=True),
    string("bio_cpulist", immutable=True),
    string("aof_rewrite_cpulist", immutable=True),
    string("bgsave_cpulist", immutable=True),
    choice("oom-score-adj", "no", ("no", "yes", "relative", "absolute")),
    Parameter("oom-score-adj-values", (0, 200, 800), _parse_oom_scores, _show_numbers),
    boolean("disable-thp", True, immutable=True),
    string("ignore-warnings"),
    Parameter("hz", 10, _parse_hz, binary=True),
    boolean("dynamic-hz", True),
    integer("shutdown-timeout", 10, 0, INT_MAX),
    Parameter("shutdown-on-sigint", frozenset(), _parse_shutdown, _show_shutdown),
    Parameter("shutdown-on-sigterm", frozenset(), _parse_shutdown, _show_shutdown),
    # -- clients and limits
    Parameter(
        "client-output-buffer-limit",
        {
            "normal": (0, 0, 0),
            "slave": (256 * MEGABYTE, 64 * MEGABYTE, 60),
            "pubsub": (32 * MEGABYTE, 8 * MEGABYTE, 60),
        },
        _parse_buffer_limits,
        _show_buffer_limits,
    ),
    memory("client-query-buffer-limit", 1024 * MEGABYTE, MEGABYTE),
    memory("proto-max-bulk-len", 512 * MEGABYTE, MEGABYTE),
    Parameter(
        "maxmemory-clients",
        0,
        _parse_client_memory,
        _show_client_memory,
        kind="memory",
    ),
    integer("tracking-table-max-keys", 1_000_000, 0, INT64_MAX),
    # -- access
    string("requirepass", binary=True),
    string("aclfile", immutable=True),
    choice("acl-pubsub-default", "resetchannels", ("allchannels", "resetchannels")),
    integer("acllog-max-len", 128, 0, INT64_MAX),
    # -- memory and eviction
    memory("maxmemory", 0, 0, UINT64_MAX),
    choice("maxmemory-policy", "noeviction", _POLICIES),
    integer("maxmemory-samples", 5, 1, INT_MAX),
    integer("maxmemory-eviction-tenacity", 10, 0, 100),
    integer("lfu-log-factor", 10, 0, INT_MAX),
    integer("lfu-decay-time", 1, 0, INT_MAX),
    integer("active-expire-effort", 1, 1, 10),
    boolean("lazyfree-lazy-eviction", False),
    boolean("lazyfree-lazy-expire", False),
    boolean("lazyfree-lazy-server-del", False),
    boolean("lazyfree-lazy-user-del", False),
    boolean("lazyfree-lazy-user-flush", False),
    boolean("activedefrag", False),
    integer("active-defrag-cycle-min", 1, 1, 99),
    integer("active-defrag-cycle-max", 25, 1, 99),
    integer("active-defrag-threshold-lower", 10, 0, 1000),
    integer("active-defrag-threshold-upper", 100, 0, 1000),
    memory("active-defrag-ignore-bytes", 100 * MEGABYTE, 1),
    integer("active-defrag-max-scan-fields", 1000, 1, INT64_MAX),
    boolean("activerehashing", True),
    boolean("jemalloc-bg-thread", True),
    # -- encodings
    integer("hash-max-listpack-entries", 512, 0, INT64_MAX, "hash-max-ziplist-entries"),
    memory("hash-max-listpack-value", 64, alias="hash-max-ziplist-value"),
    integer(
        "list-max-listpack-size", -2, -INT_MAX - 1, INT_MAX, "list-max-ziplist-size"
    ),
    integer("list-compress-depth", 0, 0, INT_MAX),
    integer("set-max-intset-entries", 512, 0, INT64_MAX),
    integer("set-max-listpack-entries", 128, 0, INT64_MAX),
    integer("set-max-listpack-value", 64, 0, INT64_MAX),
    integer("zset-max-listpack-entries", 128, 0, INT64_MAX, "zset-max-ziplist-entries"),
    memory("zset-max-listpack-value", 64, alias="zset-max-ziplist-value"),
    memory("hll-sparse-max-bytes", 3000),
    memory("stream-node-max-bytes", 4096),
    integer("stream-node-max-entries", 100, 0, INT64_MAX),
    # -- events, logs, statistics
    Parameter("notify-keyspace-events", 0, lambda t, _: parse_flags(t), format_flags),
    integer("slowlog-log-slower-than", 10_000, -1, INT64_MAX),
    integer("slowlog-max-len", 128, 0, INT64_MAX),
    integer("latency-monitor-threshold", 0, 0, INT64_MAX),
    boolean("latency-tracking", True),
    Parameter(
        "latency-tracking-info-percentiles",
        (50.0, 99.0, 99.9),
        _parse_percentiles,
        _show_percentiles,
    ),
    # -- scripts
    integer("busy-reply-threshold", 5000, 0, INT64_MAX, "lua-time-limit"),
    boolean("lua-enable-deprecated-api", False, immutable=True, hidden=True),
    # -- RDB files. An engine in memory saves nothing on its own: no save points.
    Parameter("save", (), _parse_save, _show_words),
    Parameter("dbfilename", "dump.rdb", _parse_file_name, protected=True),
    Parameter("dir", "", _parse_directory, protected=True),
    boolean("rdbchecksum", True, immutable=True),
    boolean("rdbcompression", True),
    boolean("rdb-del-sync-files", False),
    boolean("rdb-save-incremental-fsync", True),
    # Ours: 10 for a Redis 7.0 that reads files and payloads, or follows this engine.
    integer("rdb-version", 11, 10, 11, hidden=True),
    integer("rdb-key-save-delay", 0, -INT_MAX - 1, INT_MAX, hidden=True),
    integer(
        "loading-process-events-interval-bytes", 2 << 20, 1024, INT_MAX, hidden=True
    ),
    integer("key-load-delay", 0, -INT_MAX - 1, INT_MAX, hidden=True),
    boolean("stop-writes-on-bgsave-error", True),
    choice("sanitize-dump-payload", "no", ("no", "yes", "clients")),
    # -- append-only file
    boolean("appendonly", False),
    Parameter(
        "appendfilename",
        "appendonly.aof",
        _parse_append_name,
        kind="text",
        immutable=True,
    ),
    string("appenddirname", "appendonlydir", immutable=True),
    choice("appendfsync", "everysec", ("everysec", "always", "no")),
    boolean("no-appendfsync-on-rewrite", False),
    integer("auto-aof-rewrite-percentage", 100, 0, INT_MAX),
    memory("auto-aof-rewrite-min-size", 64 * MEGABYTE),
    boolean("aof-load-truncated", True),
    boolean("aof-use-rdb-preamble", True),
    boolean("aof-timestamp-enabled", False),
    boolean("aof-rewrite-incremental-fsync", True),
    boolean("aof-disable-auto-gc", False, hidden=True),
    # -- replication
    string("replicaof", alias="slaveof", immutable=True),
    string("masteruser"),
    string("masterauth", binary=True),
    boolean("replica-serve-stale-data", True, "slave-serve-stale-data"),
    boolean("replica-read-only", True, "slave-read-only"),
    boolean("replica-lazy-flush", False, "slave-lazy-flush"),
    boolean("replica-ignore-maxmemory", True, "slave-ignore-maxmemory"),
    boolean("replica-ignore-disk-write-errors", False),
    boolean("replica-announced", True),
    string("replica-announce-ip", alias="slave-announce-ip"),
    integer("replica-announce-port", 0, 0, 65535, "slave-announce-port"),
    integer("replica-priority", 100, 0, INT_MAX, "slave-priority"),
    boolean("repl-disable-tcp-nodelay", False),
    boolean("repl-diskless-sync", True),
    integer("repl-diskless-sync-delay", 5, 0, INT_MAX),
    integer("repl-diskless-sync-max-replicas", 0, 0, INT_MAX),
    choice("repl-diskless-load", "disabled", ("disabled", "on-empty-db", "swapdb")),
    integer("repl-ping-replica-period", 10, 1, INT_MAX, "repl-ping-slave-period"),
    integer("repl-timeout", 60, 1, INT_MAX),
    Parameter("repl-backlog-size", MEGABYTE, _parse_backlog_size, kind="memory"),
    integer("repl-backlog-ttl", 3600, 0, INT64_MAX),
    integer("min-replicas-to-write", 0, 0, INT_MAX, "min-slaves-to-write"),
    integer("min-replicas-max-lag", 10, 0, INT_MAX, "min-slaves-max-lag"),
    choice(
        "propagation-error-behavior", "ignore", ("ignore", "panic", "panic-on-replicas")
    ),
    # -- cluster
    boolean("cluster-enabled", False, immutable=True),
    string("cluster-config-file", "nodes.conf", immutable=True),
    integer("cluster-port", 0, 0, 65535, immutable=True),
    integer("cluster-node-timeout", 15_000, 0, INT64_MAX),
    integer("cluster-migration-barrier", 1, 0, INT_MAX),
    integer(
        "cluster-replica-validity-factor",
        10,
        0,
        INT_MAX,
        "cluster-slave-validity-factor",
    ),
    boolean("cluster-replica-no-failover", False, "cluster-slave-no-failover"),
    boolean("cluster-require-full-coverage", True),
    boolean("cluster-allow-replica-migration", True),
    boolean("cluster-allow-reads-when-down", False),
    boolean("cluster-allow-pubsubshard-when-down", True),
    memory("cluster-link-sendbuf-limit", 0, 0, UINT64_MAX),
    string("cluster-announce-ip"),
    integer("cluster-announce-port", 0, 0, 65535),
    integer("cluster-announce-bus-port", 0, 0, 65535),
    integer("cluster-announce-tls-port", 0, 0, 65535),
    Parameter("cluster-announce-hostname", "", _parse_hostname),
    Parameter("cluster-announce-human-nodename", "", _parse_nodename, binary=True),
    choice(
        "cluster-preferred-endpoint-type", "ip", ("ip", "hostname", "unknown-endpoint")
    ),
    # -- TLS
    Parameter("tls-port", 0, _parse_tls_port),
    boolean("tls-cluster", False),
    boolean("tls-replication", False),
    choice("tls-auth-clients", "yes", ("no", "yes", "optional")),
    boolean("tls-prefer-server-ciphers", False),
    boolean("tls-session-caching", True),
    integer("tls-session-cache-size", 20 * 1024, 0, INT_MAX),
    integer("tls-session-cache-timeout", 300, 0, INT_MAX),
    string("tls-cert-file"),
    string("tls-key-file"),
    string("tls-key-file-pass"),
    string("tls-client-cert-file"),
    string("tls-client-key-file"),
    string("tls-client-key-file-pass"),
    string("tls-dh-params-file"),
    string("tls-ca-cert-file"),
    string("tls-ca-cert-dir"),
    string("tls-protocols"),
    string("tls-ciphers"),
    string("tls-ciphersuites"),
)
