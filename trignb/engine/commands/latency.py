"""LATENCY: spikes, and how long commands take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from trignb.engine.docs import subcommands_of
from trignb.engine.durations import histogram
from trignb.engine.help import help_lines
from trignb.engine.latency import graph, report
from trignb.engine.spec import CommandFamily
from trignb.errors import ResponseError
from trignb.reply import Status, Verbatim

if TYPE_CHECKING:
    from trignb.engine.session import Session
    from trignb.engine.spec import Command

family = CommandFamily("server")
command = family.command

Args = list[bytes]

_NO_SPIKE: Final = (
    b"Dave, no latency spike was observed during the lifetime of this Redis "
    b"instance, not in the slightest bit. I honestly think you ought to sit down "
    b"calmly, take a stress pill, and think things over.\n"
)
_NOT_MONITORED: Final = (
    b"I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this Redis "
    b'instance. You may use "CONFIG SET latency-monitor-threshold <milliseconds>." in '
    b"order to enable it. If we weren't in a deep space mission I'd suggest to take a "
    b"look at https://redis.io/topics/latency-monitor.\n"
)


@command("LATENCY DOCTOR")
def latency_doctor(s: Session, args: Args) -> Verbatim:
    """Reports on latency."""
    monitor = s.core.latency
    if monitor.series:
        return Verbatim(report(monitor, _now_s(s)).encode())
    return Verbatim(_NO_SPIKE if monitor.threshold_ms else _NOT_MONITORED)


@command("LATENCY GRAPH")
def latency_graph(s: Session, args: Args) -> Verbatim:
    """Draws the samples of an event."""
    event = args[2].decode("utf-8", "replace")
    series = s.core.latency.series.get(args[2])
    if series is None:
        raise ResponseError(f"ERR No samples available for event '{event}'")
    return Verbatim(graph(event, series, _now_s(s)).encode())


@command("LATENCY HISTORY")
def latency_history(s: Session, args: Args) -> list[Any]:
    """Returns the samples of an event: times and milliseconds."""
    series = s.core.latency.series.get(args[2])
    return [list(sample) for sample in series.samples] if series else []


@command("LATENCY LATEST")
def latency_latest(s: Session, args: Args) -> list[Any]:
    """Returns the last sample of each event, and the worst."""
    return [
        [event, *series.samples[-1], series.worst]
        for event, series in s.core.latency.series.items()
    ]


@command("LATENCY RESET")
def latency_reset(s: Session, args: Args) -> int:
    """Forgets samples; returns of how many events."""
    return s.core.latency.reset(args[2:])


@command("LATENCY HISTOGRAM")
def latency_histogram(s: Session, args: Args) -> dict[bytes, Any]:
    """Returns how long commands took; they are measured from the first question on."""
    s.core.timing.want_histograms()
    return {
        c.name.encode(): {
            b"calls": sum(c.durations.values()),
            b"histogram_usec": dict(histogram(c.durations)),
        }
        for c in _chosen(s, args[2:])
        if c.durations
    }


def _chosen(s: Session, names: Args) -> Iterable[Command]:
    """Yield all commands, or those of some names; a container stands for what is below."""
    table = s.core.table
    if not names:
        yield from table.by_name.values()
    for name in names:
        found = table.named(name)
        if found is not None:
            yield found
            yield from subcommands_of(found)


def _now_s(s: Session) -> int:
    return s.core.now_ns() // 1_000_000_000


@command("LATENCY HELP")
def latency_help(s: Session, args: Args) -> list[Status]:
    """Describes the subcommands of LATENCY."""
    return help_lines(s, b"LATENCY")
