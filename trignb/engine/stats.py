"""INFO: what the engine says about itself, section by section.

Fields come in Redis's order and all of them are there; those about forks and allocators have
the value they have on a server that does nothing of the kind. Memory figures are estimates.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trignb.engine.client_memory import ReplyBuffer, total_memory
from trignb.engine.durations import percentiles
from trignb.engine.parameters import show_percentile
from trignb.engine.sizes import STARTUP_BYTES, resident_bytes

if TYPE_CHECKING:
    from trignb.engine.core import Core
    from trignb.engine.saves import Reading
    from trignb.engine.spec import Command

__all__ = [
    "REDIS_VERSION",
    "SECTIONS",
    "ModuleSection",
    "calls_of_all",
    "human_size",
    "info_text",
    "package_version",
    "reset_stats",
]

# The version of Redis that the engine answers like.
REDIS_VERSION: Final = "7.2.6"

Fields = Mapping[str, Any]

_SECOND_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400


class ModuleSection(NamedTuple):
    """A section of what layers above present as a module."""

    module: str
    title: str
    fields: Callable[[], Fields]

    def is_wanted(self, names: set[str]) -> bool:
        """Whether it was asked for, by its name, the module's, or with everything."""
        own = {"everything", "modules", self.module, f"{self.module}_{self.title}"}
        return not names.isdisjoint(name.lower() for name in own)

    def text(self) -> str:
        """Return its lines; the module's name stands before each."""
        fields = {f"{self.module}_{k}": v for k, v in self.fields().items()}
        return _section_text(f"{self.module}_{self.title}", fields)


def info_text(core: Core, names: Iterable[str]) -> str:
    """Return the sections asked for, in Redis's order; none means the usual ones."""
    wanted = {name.lower() for name in names} or {"default"}
    if wanted & {"all", "everything"}:
        chosen = set(SECTIONS)
    else:
        chosen = wanted & set(SECTIONS)
        if "default" in wanted:
            chosen |= set(SECTIONS) - _NOT_BY_DEFAULT
    texts = [
        _section_text(SECTIONS[name][0], _fields_of(core, name))
        for name in SECTIONS
        if name in chosen
    ]
    texts += [each.text() for each in core.info_sections if each.is_wanted(wanted)]
    return "\r\n".join(texts)


def _fields_of(core: Core, name: str) -> Fields:
    """Return a section's fields, with what the layers above know of it."""
    fields, known = SECTIONS[name][1](core), core.info_facts.get(name)
    return fields if known is None else {**fields, **known()}


def _lua_fields(core: Core) -> Fields:
    """Return what scripts and functions take; they share one state of Lua."""
    counts = {name: count() for name, count in core.info_counts.items()}
    state, cached = (
        counts.pop(name, 0)
        for name in ("used_memory_vm_eval", "used_memory_scripts_eval")
    )
    functions = counts.pop("used_memory_functions", 0)
    return {
        "used_memory_lua": state,
        "used_memory_vm_eval": state,
        "used_memory_lua_human": human_size(state),
        "used_memory_scripts_eval": cached,
        "number_of_cached_scripts": 0,
        "number_of_functions": 0,
        "number_of_libraries": 0,
        **counts,
        "used_memory_vm_functions": 0,
        "used_memory_vm_total": state,
        "used_memory_vm_total_human": human_size(state),
        "used_memory_functions": functions,
        "used_memory_scripts": cached + functions,
        "used_memory_scripts_human": human_size(cached + functions),
    }


def _section_text(title: str, fields: Fields) -> str:
    lines = [f"# {title}"]
    for name, value in fields.items():
        # Several values are several lines of one name.
        several = value if isinstance(value, list) else [value]
        lines += [f"{name}:{item}" for item in several]
    return "".join(line + "\r\n" for line in lines)


def human_size(size: int) -> str:
    """Return a size as people read it: ``1.36M``."""
    if size < 1024:
        return f"{size}B"
    power = min((size.bit_length() - 1) // 10, 5)
    return f"{size / 1024**power:.2f}{'BKMGTP'[power]}"


def package_version() -> str:
    """Return the version of trignb, which the lower layers cannot import."""
    return str(getattr(sys.modules[__package__.partition(".")[0]], "__version__", ""))


# -- sections


def _server(core: Core) -> Fields:
    now_ns = core.clock.read()
    uptime_s = max(now_ns - core.started_ns, 0) // _SECOND_NS
    hz = core.config.values["hz"]
    places = [place for server in core.servers for place in server.places()]
    return {
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": 0,
        "trignb_version": package_version(),
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": 64 if sys.maxsize > 1 << 32 else 32,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "epoll" if core.servers else "none",
        "atomicvar_api": "gil",
        "gcc_version": "0.0.0",
        "python_version": platform.python_version(),
        "process_id": os.getpid(),
        "process_supervised": "no",
        "run_id": core.run_id,
        "tcp_port": core.config.values["port"],
        "server_time_usec": now_ns // 1000,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // _DAY_S,
        "hz": hz,
        "configured_hz": hz,
        "lru_clock": now_ns // _SECOND_NS & 0xFFFFFF,
        "executable": sys.executable,
        "config_file": core.config.file,
        "io_threads_active": 0,
        **{f"listener{i}": place for i, place in enumerate(places)},
    }


def _clients(core: Core) -> Fields:
    waiting = core.blocking.sessions.values()
    largest_in, largest_out = core.traffic.recent_largest()
    return {
        "connected_clients": len(core.sessions),
        "cluster_connections": 0,
        "maxclients": core.config.values["maxclients"],
        "client_recent_max_input_buffer": largest_in,
        "client_recent_max_output_buffer": largest_out,
        "blocked_clients": len(waiting) + len(core.pause.held),
        "tracking_clients": len(core.tracking.sessions),
        "clients_in_timeout_table": sum(1 for w in waiting if w.timeout_s),
        "total_blocking_keys": len(core.blocking.queues),
        "total_blocking_keys_on_nokey": 0,
    }


def _memory(core: Core) -> Fields:
    used = core.memory.used()
    dataset = used - STARTUP_BYTES
    resident = resident_bytes()
    core.peak_bytes = peak = max(core.peak_bytes, used)
    maxmemory = core.config.values["maxmemory"]
    return {
        "used_memory": used,
        "used_memory_human": human_size(used),
        "used_memory_rss": resident,
        "used_memory_rss_human": human_size(resident),
        "used_memory_peak": peak,
        "used_memory_peak_human": human_size(peak),
        "used_memory_peak_perc": f"{100 * used / peak:.2f}%",
        "used_memory_overhead": STARTUP_BYTES,
        "used_memory_startup": STARTUP_BYTES,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": "100.00%" if dataset else "0.00%",
        "allocator_allocated": used,
        "allocator_active": used,
        "allocator_resident": used,
        "total_system_memory": _system_memory(),
        "total_system_memory_human": human_size(_system_memory()),
        **_lua_fields(core),
        "maxmemory": maxmemory,
        "maxmemory_human": human_size(maxmemory),
        "maxmemory_policy": core.config.values["maxmemory-policy"],
        "allocator_frag_ratio": "1.00",
        "allocator_frag_bytes": 0,
        "allocator_rss_ratio": "1.00",
        "allocator_rss_bytes": 0,
        "rss_overhead_ratio": "1.00",
        "rss_overhead_bytes": 0,
        "mem_fragmentation_ratio": "1.00",
        "mem_fragmentation_bytes": 0,
        "mem_not_counted_for_evict": 0,
        "mem_replication_backlog": 0,
        "mem_total_replication_buffers": 0,
        "mem_clients_slaves": 0,
        "mem_clients_normal": _buffer_bytes(core),
        "mem_cluster_links": 0,
        "mem_aof_buffer": core.aof.buffered,
        "mem_allocator": "python",
        "active_defrag_running": 0,
        "lazyfree_pending_objects": 0,
        "lazyfreed_objects": core.lazyfreed,
    }


def _buffer_bytes(core: Core) -> int:
    """Return what clients take that are no replicas."""
    return sum(
        total_memory(session)
        for session in list(core.sessions.values())
        if session.replica is None or not session.replica.is_attached
    )


def _system_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


def _persistence(core: Core) -> Fields:
    saves, aof = core.saves, core.aof
    is_saving = saves.started is not None
    done, total = (saves.keys_done, saves.keys_total) if is_saving else (0, 0)
    return {
        "loading": int(core.is_loading),
        "async_loading": 0,
        "current_cow_peak": 0,
        "current_cow_size": 0,
        "current_cow_size_age": 0,
        "current_fork_perc": f"{100 * done / total if total else 0:.2f}",
        "current_save_keys_processed": done,
        "current_save_keys_total": total,
        "rdb_changes_since_last_save": core.dirty - saves.dirty,
        "rdb_bgsave_in_progress": int(is_saving),
        "rdb_last_save_time": saves.last_ns // _SECOND_NS,
        "rdb_last_bgsave_status": "err" if saves.failed else "ok",
        "rdb_last_bgsave_time_sec": saves.seconds,
        "rdb_current_bgsave_time_sec": saves.seconds_so_far(),
        "rdb_saves": saves.saves,
        "rdb_last_cow_size": 0,
        "rdb_last_load_keys_expired": saves.keys_expired,
        "rdb_last_load_keys_loaded": saves.keys_loaded,
        "aof_enabled": int(core.config.values["appendonly"]),
        "aof_rewrite_in_progress": int(aof.started is not None),
        "aof_rewrite_scheduled": int(aof.is_scheduled),
        "aof_last_rewrite_time_sec": aof.seconds,
        "aof_current_rewrite_time_sec": aof.seconds_so_far(),
        "aof_last_bgrewrite_status": "err" if aof.failed else "ok",
        "aof_rewrites": aof.rewrites,
        "aof_rewrites_consecutive_failures": aof.failures,
        "aof_last_write_status": "err" if aof.write_failed else "ok",
        "aof_last_cow_size": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
        **(_append_only_file(core) if core.config.values["appendonly"] else {}),
        **({} if saves.reading is None else _reading(saves.reading, core)),
    }


def _reading(reading: Reading, core: Core) -> Fields:
    """Return how far the file is that clients wait for."""
    done, total = reading.done, reading.total
    elapsed_s = core.clock.read() / 1e9 - reading.began
    return {
        "loading_start_time": int(reading.began),
        "loading_total_bytes": total,
        "loading_rdb_used_mem": core.memory.used(),
        "loading_loaded_bytes": done,
        "loading_loaded_perc": f"{100 * done / total if total else 0:.2f}",
        "loading_eta_seconds": int(elapsed_s * (total - done) / done) if done else 1,
    }


def _append_only_file(core: Core) -> Fields:
    aof = core.aof
    return {
        "aof_current_size": aof.size,
        "aof_base_size": aof.base_size,
        "aof_pending_rewrite": int(aof.is_rewrite_pending),
        "aof_buffer_length": aof.buffered,
        "aof_pending_bio_fsync": int(aof.is_syncing),
        "aof_delayed_fsync": aof.delayed,
    }


def _stats(core: Core) -> Fields:
    pubsub, tracking, traffic = core.pubsub, core.tracking, core.traffic
    rates = traffic.rates(time.monotonic())
    exceeded_ms, exceeded_now_ms = core.eviction.exceeded_ms()
    return {
        "total_connections_received": core.connections_received,
        "total_commands_processed": calls_of_all(core),
        "instantaneous_ops_per_sec": rates.commands,
        "total_net_input_bytes": traffic.bytes_in,
        "total_net_output_bytes": traffic.bytes_out,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": f"{rates.bytes_in / 1024:.2f}",
        "instantaneous_output_kbps": f"{rates.bytes_out / 1024:.2f}",
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": traffic.rejected,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_keys": core.expired_keys,
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": 0,
        "expire_cycle_cpu_milliseconds": 0,
        "evicted_keys": core.evicted_keys,
        "evicted_clients": traffic.evicted,
        "total_eviction_exceeded_time": exceeded_ms,
        "current_eviction_exceeded_time": exceeded_now_ms,
        "keyspace_hits": core.hits,
        "keyspace_misses": core.misses,
        "pubsub_channels": len(pubsub.channels),
        "pubsub_patterns": len(pubsub.patterns),
        "pubsubshard_channels": len(pubsub.shard_channels),
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": 0,
        "slave_expires_tracked_keys": 0,
        "active_defrag_hits": 0,
        "active_defrag_misses": 0,
        "active_defrag_key_hits": 0,
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
        "tracking_total_keys": len(tracking.readers),
        "tracking_total_items": tracking.item_count,
        "tracking_total_prefixes": tracking.prefix_count,
        "unexpected_error_replies": 0,
        "total_error_replies": core.errors.total(),
        "dump_payload_sanitizations": 0,
        "total_reads_processed": traffic.reads,
        "total_writes_processed": traffic.writes,
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "reply_buffer_shrinks": ReplyBuffer.shrinks,
        "reply_buffer_expands": ReplyBuffer.expands,
        "eventloop_cycles": traffic.cycles,
        "eventloop_duration_sum": traffic.cycles_us,
        "eventloop_duration_cmd_sum": 0,
        "instantaneous_eventloop_cycles_per_sec": rates.cycles,
        "instantaneous_eventloop_duration_usec": rates.cycle_us,
        "acl_access_denied_auth": core.permissions.denied["auth"],
        "acl_access_denied_cmd": core.permissions.denied["command"],
        "acl_access_denied_key": core.permissions.denied["key"],
        "acl_access_denied_channel": core.permissions.denied["channel"],
    }


def _replication(core: Core) -> Fields:
    """Return what `trignb.replication` tells."""
    return {"role": "slave" if core.is_replica else "master"}


def _cpu(_core: Core) -> Fields:
    used = os.times()
    return {
        "used_cpu_sys": f"{used.system:.6f}",
        "used_cpu_user": f"{used.user:.6f}",
        "used_cpu_sys_children": f"{used.children_system:.6f}",
        "used_cpu_user_children": f"{used.children_user:.6f}",
        "used_cpu_sys_main_thread": f"{used.system:.6f}",
        "used_cpu_user_main_thread": f"{used.user:.6f}",
    }


def _modules(core: Core) -> Fields:
    return {
        "module": [
            f"name={module[b'name'].decode()},ver={module[b'ver']},"
            "api=1,filters=0,usedby=[],using=[],options=[]"
            for module in core.modules
        ]
    }


def _commandstats(core: Core) -> Fields:
    return {
        f"cmdstat_{c.name}": (
            f"calls={c.calls},usec={c.usec},"
            f"usec_per_call={c.usec / c.calls if c.calls else 0:.2f},"
            f"rejected_calls={c.rejected},failed_calls={c.failed}"
        )
        for c in _all_commands(core)
        if c.calls or c.rejected or c.failed
    }


def _errorstats(core: Core) -> Fields:
    return {
        f"errorstat_{code}": f"count={count}"
        for code, count in sorted(core.errors.items())
    }


def _latencystats(core: Core) -> Fields:
    """Return percentiles of the commands that were measured."""
    values = core.config.values
    if not values["latency-tracking"]:
        return {}
    wanted = values["latency-tracking-info-percentiles"]
    return {
        f"latency_percentiles_usec_{c.name}": ",".join(
            f"p{show_percentile(percentage)}={usec:.3f}"
            for percentage, usec in zip(
                wanted, percentiles(c.durations, wanted), strict=True
            )
        )
        for c in _all_commands(core)
        if c.durations
    }


def _cluster(core: Core) -> Fields:
    return {"cluster_enabled": int(core.config.values["cluster-enabled"])}


def _keyspace(core: Core) -> Fields:
    now_ms = core.now_ms()
    fields = {}
    for db in core.databases:
        if db.data:
            ttls = [deadline - now_ms for deadline in db.expires.values()]
            mean = max(sum(ttls) // len(ttls), 0) if ttls else 0
            fields[f"db{db.index}"] = (
                f"keys={len(db.data)},expires={len(ttls)},avg_ttl={mean}"
            )
    return fields


def calls_of_all(core: Core) -> int:
    """Return how many commands have run."""
    return sum(command.calls for command in _all_commands(core))


def _all_commands(core: Core) -> Iterable[Command]:
    return core.table.by_name.values()


Section = tuple[str, Callable[["Core"], Fields]]

SECTIONS: Final[dict[str, Section]] = {
    "server": ("Server", _server),
    "clients": ("Clients", _clients),
    "memory": ("Memory", _memory),
    "persistence": ("Persistence", _persistence),
    "stats": ("Stats", _stats),
    "replication": ("Replication", _replication),
    "cpu": ("CPU", _cpu),
    "modules": ("Modules", _modules),
    "commandstats": ("Commandstats", _commandstats),
    "errorstats": ("Errorstats", _errorstats),
    "latencystats": ("Latencystats", _latencystats),
    "cluster": ("Cluster", _cluster),
    "keyspace": ("Keyspace", _keyspace),
}

_NOT_BY_DEFAULT: Final = frozenset({"commandstats", "latencystats"})


def reset_stats(core: Core) -> None:
    """Set the counters to zero (CONFIG RESETSTAT)."""
    for c in _all_commands(core):
        c.calls = c.failed = c.rejected = c.usec = 0
        c.durations.clear()
    core.hits = core.misses = core.expired_keys = core.evicted_keys = 0
    core.lazyfreed = 0
    core.connections_received = 0
    core.traffic.reset()
    core.errors.clear()
    # The command at work, which Redis counts when it ends.
    core.table.by_name["config resetstat"].calls = 1
    core.saves.saves = 0
