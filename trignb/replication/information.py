"""What INFO and ROLE say of replication."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trignb.replication.role import Replication, Upstream

__all__ = ["count_syncs", "describe", "measure", "role"]

Fields = dict[str, Any]


def describe(replication: Replication) -> Fields:
    """Return the fields of INFO REPLICATION."""
    core, feed = replication.core, replication.feed
    values, backlog = core.config.values, replication.feed.backlog
    fields: Fields = {"role": "slave" if core.is_replica else "master"}
    if replication.upstream is not None:
        fields |= _of_primary(replication, replication.upstream)
    replicas = replication.replicas.attached()
    fields["connected_slaves"] = len(replicas)
    if values["min-replicas-to-write"] and values["min-replicas-max-lag"]:
        fields["min_slaves_good_slaves"] = replication.replicas.count_good()
    for i, replica in enumerate(replicas):
        ip, port = replica.address
        fields[f"slave{i}"] = (
            f"ip={ip},port={port},state={replica.state},offset={replica.ack_offset},"
            f"lag={replica.lag_s}"
        )
    return fields | {
        "master_failover_state": replication.failover.state,
        "master_replid": feed.id,
        "master_replid2": feed.former_id,
        "master_repl_offset": feed.offset,
        "second_repl_offset": feed.former_end,
        "repl_backlog_active": int(backlog is not None),
        "repl_backlog_size": values["repl-backlog-size"],
        "repl_backlog_first_byte_offset": 0 if backlog is None else backlog.first,
        "repl_backlog_histlen": 0 if backlog is None else len(backlog),
    }


def _of_primary(replication: Replication, upstream: Upstream) -> Fields:
    values, offset = replication.core.config.values, replication.feed.offset
    is_syncing = upstream.state == "sync"
    fields: Fields = {
        "master_host": upstream.host,
        "master_port": upstream.port,
        "master_link_status": "up" if upstream.is_up else "down",
        "master_last_io_seconds_ago": upstream.silence_s if upstream.is_up else -1,
        "master_sync_in_progress": int(is_syncing),
        "slave_read_repl_offset": offset,
        "slave_repl_offset": offset,
    }
    if is_syncing:
        fields |= _of_sync(upstream)
    if not upstream.is_up:
        since = upstream.down_since
        fields["master_link_down_since_seconds"] = (
            -1 if since is None else int(time.monotonic() - since)
        )
    return fields | {
        "slave_priority": values["replica-priority"],
        "slave_read_only": int(values["replica-read-only"]),
        "replica_announced": int(values["replica-announced"]),
    }


def _of_sync(upstream: Upstream) -> Fields:
    done, total = upstream.sync_bytes, upstream.sync_total
    return {
        "master_sync_total_bytes": total,
        "master_sync_read_bytes": done,
        "master_sync_left_bytes": total - done,
        "master_sync_perc": f"{100 * done / total if total else 0:.2f}",
        "master_sync_last_io_seconds_ago": upstream.silence_s,
    }


def count_syncs(replication: Replication) -> Fields:
    """Return the counters of INFO STATS."""
    replicas, syncs = replication.replicas, replication.syncs
    return {
        "sync_full": syncs.count,
        "sync_partial_ok": replicas.partial_syncs,
        "sync_partial_err": replicas.refused_partial_syncs,
    }


def measure(replication: Replication) -> Fields:
    """Return the sizes of INFO MEMORY."""
    backlog = replication.feed.backlog
    size = 0 if backlog is None else len(backlog)
    owed = sum(r.owed_bytes for r in replication.replicas.attached())
    return {
        "mem_replication_backlog": size,
        "mem_total_replication_buffers": size + owed,
        "mem_clients_slaves": owed,
    }


def role(replication: Replication) -> list[Any]:
    """Return what ROLE answers."""
    upstream, feed = replication.upstream, replication.feed
    if upstream is None:
        online = [r for r in replication.replicas.attached() if r.is_online]
        return [b"master", feed.offset, [_row(r.address, r.ack_offset) for r in online]]
    offset = feed.offset if replication.follower is not None else -1
    host, state = upstream.host.encode(), upstream.state.encode()
    return [b"slave", host, upstream.port, state, offset]


def _row(address: tuple[str, int], offset: int) -> list[bytes]:
    ip, port = address
    return [ip.encode(), b"%d" % port, b"%d" % offset]
