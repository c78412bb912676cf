"""Runs a case on both sides and tells the differences.

What two right servers may do differently is evened out here, and only here: how long things
took, in which order a hash gives its elements, and the fields that we add to TFUNCTION LIST.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from module.wire import Raw, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from module.cases import Case, Step
    from module.sides import Side

__all__ = ["Difference", "run_case", "told"]

# Milliseconds in TFUNCTION LIST.
_TIMES = frozenset(
    {
        *(b"last_execution_time", b"total_execution_time"),
        *(b"last_lag", b"total_lag"),
        *(b"last_processed_time", b"total_processed_time"),
    }
)
# What we add to the map of a keyspace trigger, behind all of the module's.
_OURS = (
    *(b"num_triggered", b"last_exection_time", b"total_exection_time"),
    *(b"avg_exection_time", b"prefix"),
)
_FIRST_FIELDS = (b"api_version", b"description", b"id_to_read_from")


@dataclass(frozen=True)
class Difference:
    """What differs: after which command, in which respect, and how."""

    step: str
    what: str
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.step}\n  {self.what}\n    ours   {self.ours}\n    theirs {self.theirs}"


def run_case(
    case: Case, ours: Side, theirs: Side, resp: int, verbosity: int
) -> list[Difference]:
    """Run a case on both sides; returns how they differ."""
    for side in (ours, theirs):
        side.begin(resp, verbosity)
    differences = []
    for step in case.steps:
        replies = [_perform(side, step) for side in (ours, theirs)]
        differences += _compare(step.text, "reply", *replies)
        effects = [side.drain() for side in (ours, theirs)]
        for index, what in enumerate(("events", "stream")):
            pair = ["; ".join(each[index]) for each in effects]
            differences += _compare(step.text, what, *pair)
    for side in (ours, theirs):
        side.hang_up()
    differences += _compare("(end)", "list", *map(_list, (ours, theirs)))
    differences += _compare("(end)", "keys", *map(_keys, (ours, theirs)))
    return differences


def _compare(step: str, what: str, ours: str, theirs: str) -> Iterator[Difference]:
    if ours != theirs:
        yield Difference(step, what, ours, theirs)


def _perform(side: Side, step: Step) -> str:
    """Run a step; returns its reply as a text in which only what matters is told."""
    if step.how == "send":
        side.start(step.client, step.args)
        return ""
    link = side.client(step.client)
    if step.how == "read":
        return shown(step, link.raw_reply())
    if not step.awaited:
        return shown(step, link.ask(*step.args))
    last = ""

    def has_come() -> bool:
        nonlocal last
        last = shown(step, link.ask(*step.args))
        return step.awaited in last

    try:
        side.poll(has_come, "")
    except AssertionError:
        return f"{last} (and never {step.awaited})"
    return last


def shown(step: Step, raw: Raw) -> str:
    """Return a reply as it is compared."""
    if step.is_vague:
        return raw.kind
    words = [word.lower() for word in step.args[:2]]
    if words == [b"tfunction", b"list"]:
        return show(listing(raw))
    return show(_sorted(raw, step.is_unordered))


def _sorted(raw: Raw, all_of_it: bool) -> Raw:
    """Sort what the module keeps in tables with a random seed."""
    items = [_sorted(item, all_of_it) for item in raw.items]
    if raw.kind == "%":
        pairs = sorted(
            zip(items[::2], items[1::2], strict=True), key=lambda p: show(p[0])
        )
        return Raw("%", [item for pair in pairs for item in pair])
    if raw.kind == "~" or (all_of_it and raw.kind == "*"):
        items.sort(key=show)
    return Raw(raw.kind, items) if isinstance(raw.value, list) else raw


# -- TFUNCTION LIST


def listing(raw: Raw) -> Raw:
    """Return TFUNCTION LIST without our own fields and with times set to 0, items by name."""
    return (
        Raw(raw.kind, [_map(item) for item in _by_name(raw.items)])
        if raw.items
        else raw
    )


def _map(raw: Raw) -> Raw:
    if not _is_map(raw):
        return raw
    fields: list[Raw] = []
    pairs = list(zip(raw.items[::2], raw.items[1::2], strict=True))
    names = tuple(key.value for key, _ in pairs)
    if names[-len(_OURS) :] == _OURS:
        pairs = pairs[: -len(_OURS)]
    for key, value in pairs:
        fields += [key, _field(key.value, value)]
    return Raw(raw.kind, fields)


def _field(name: object, value: Raw) -> Raw:
    if name in _TIMES:
        return Raw(value.kind, "0" if isinstance(value.value, str) else None)
    if name in (b"flags", b"pending_ids", b"pending_async_calls"):
        return value
    if isinstance(value.value, list):
        return Raw(value.kind, [_map(item) for item in _by_name(value.value)])
    return value


def _is_map(raw: Raw) -> bool:
    """Whether this is a map; over RESP2 it is an array that begins with a name of a field."""
    return raw.kind == "%" or bool(raw.items and raw.items[0].value in _FIRST_FIELDS)


def _by_name(items: list[Raw]) -> list[Raw]:
    def name_of(raw: Raw) -> str:
        pairs = zip(raw.items[::2], raw.items[1::2], strict=False)
        return next((show(v) for k, v in pairs if k.value == b"name"), show(raw))

    return sorted(items, key=name_of)


def _list(side: Side) -> str:
    """Return all that TFUNCTION LIST tells at the end of a case."""
    return show(listing(side.client("list").ask("TFUNCTION", "LIST", "vvv")))


# -- keys at rest


def _keys(side: Side) -> str:
    """Return a digest of each key of all databases that have any."""
    ask = side.control.execute
    told = []
    for line in ask("INFO", "keyspace").decode().split()[2:]:
        db = line[2:].partition(":")[0]
        ask("SELECT", db)
        for key in sorted(ask("KEYS", "*")):
            digest = ask("DEBUG", "DIGEST-VALUE", key)[0]
            told.append(f"{db}: {key!r} {ask('TYPE', key)} {digest!r}")
    ask("SELECT", "0")
    return "; ".join(told)


def told(case: Case, differences: list[Difference]) -> str:
    """Return the differences of a case as they are read in a terminal."""
    lines = [f"{n}. {each}" for n, each in enumerate(differences, 1)]
    return "\n".join([case.name, *lines])
