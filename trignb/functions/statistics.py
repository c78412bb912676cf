"""How long runs took and why they failed, at a cost that nobody measures.

Times go into a histogram whose buckets are a sixteenth of a power of two wide, so a quantile is right to
within some percent whatever the scale. A run adds one to one bucket; which one, a table says up to a
millisecond. Everything else is worked out when somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from trignb.js.runtime import JsError, JsOom, JsTerminated, JsTimeout

if TYPE_CHECKING:
    from trignb.functions.failures import Failure

__all__ = [
    "BUCKETS",
    "TABLE",
    "TABLE_NS",
    "UNIT_BITS",
    "FewTimes",
    "Times",
    "TriggerStatistics",
    "bucket_bounds",
    "bucket_of",
    "error_kind",
    "merged",
]

# A unit is 128 ns: 16 of them have a bucket each, from there on so has each 16th of an octave.
UNIT_BITS: Final = 7
_PARTS_BITS: Final = 4
# The last bucket begins after 19 hours and has no end.
_OCTAVES: Final = 35

BUCKETS: Final = (_OCTAVES + 1) << _PARTS_BITS

_UNSEEN: Final = (1 << 63) - 1


def bucket_of(elapsed_ns: int) -> int:
    """Return the bucket of a duration; one below zero (a clock set back) counts as none."""
    units = max(elapsed_ns, 0) >> UNIT_BITS
    octave = units.bit_length() - _PARTS_BITS - 1
    if octave < 0:
        return units
    return min((octave << _PARTS_BITS) + (units >> octave), BUCKETS - 1)


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """Return where a bucket begins, and where the next one does, in ns."""
    octave = (bucket >> _PARTS_BITS) - 1
    if octave < 0:
        return bucket << UNIT_BITS, (bucket + 1) << UNIT_BITS
    parts = bucket - (octave << _PARTS_BITS)
    shift = octave + UNIT_BITS
    return parts << shift, (parts + 1) << shift


# `bucket_of` for every unit up to a millisecond: a look-up is a quarter of the call.
TABLE_NS: Final = 1 << 20
TABLE: Final = bytes(bucket_of(u << UNIT_BITS) for u in range(TABLE_NS >> UNIT_BITS))


class Times:
    """Durations of runs that have ended, in ns of the engine's clock.

    Attributes
    ----------
    last_ns, total_ns, max_ns : int
        The newest one, their sum, the longest.
    least_ns : int
        The shortest; something very large while there is none.
    buckets : list of int
        How many fell into each bucket (`bucket_of`).
    errors : dict
        How many of the runs failed, by kind of error (`error_kind`).
    """

    __slots__ = ("buckets", "errors", "last_ns", "least_ns", "max_ns", "total_ns")

    def __init__(self) -> None:
        self.last_ns = self.total_ns = self.max_ns = 0
        self.least_ns = _UNSEEN
        self.buckets: list[int] = [0] * BUCKETS
        self.errors: dict[str, int] = {}

    def note(self, elapsed_ns: int) -> None:
        """Note how long a run took. `TriggerRun` has it written out."""
        self.last_ns = elapsed_ns
        self.total_ns += elapsed_ns
        if elapsed_ns > self.max_ns:
            self.max_ns = elapsed_ns
        if elapsed_ns < self.least_ns:
            self.least_ns = elapsed_ns
        short = 0 <= elapsed_ns < TABLE_NS
        self._count(TABLE[elapsed_ns >> UNIT_BITS] if short else bucket_of(elapsed_ns))

    def note_error(self, error: BaseException) -> None:
        """Count a failure by its kind."""
        kind = error_kind(error)[:_LONGEST_KIND]
        if kind not in self.errors and len(self.errors) >= _MOST_KINDS:
            kind = OTHER
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def _count(self, bucket: int) -> None:
        self.buckets[bucket] += 1

    def filled(self) -> Iterable[tuple[int, int]]:
        """Return the buckets that are not empty, in order, each with its count."""
        return [(i, n) for i, n in enumerate(self.buckets) if n]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(n for _, n in self.filled())

    @property
    def min_ns(self) -> int:
        """The shortest; 0 while there is none."""
        return 0 if self.least_ns == _UNSEEN else self.least_ns

    def quantile_ns(self, q: float) -> float:
        """Return what a share `q` (0 to 1) of them did not exceed, to within a sixteenth.

        0 while there are none; never outside of the shortest and the longest.
        """
        filled = self.filled()
        rest = q * sum(n for _, n in filled)
        found = 0.0
        for bucket, n in filled:
            low, high = bucket_bounds(bucket)
            # As if those of one bucket lay evenly in it.
            found = low + (high - low) * min(rest / n, 1.0)
            if rest <= n:
                break
            rest -= n
        return min(max(found, float(self.min_ns)), float(self.max_ns))


class FewTimes(Times):
    """The same for what there may be very many of (streams): empty buckets take no memory."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        super().__init__()
        self.buckets = []
        self._counts: dict[int, int] = {}

    def _count(self, bucket: int) -> None:
        self._counts[bucket] = self._counts.get(bucket, 0) + 1

    def filled(self) -> Iterable[tuple[int, int]]:
        """Return the buckets that are not empty, in order, each with its count."""
        return sorted(self._counts.items())


def merged(parts: Iterable[Times]) -> Times:
    """Return several histograms as one; its last duration is nobody's and stays 0."""
    whole = Times()
    for part in parts:
        whole.total_ns += part.total_ns
        whole.max_ns = max(whole.max_ns, part.max_ns)
        whole.least_ns = min(whole.least_ns, part.least_ns)
        for bucket, n in part.filled():
            whole.buckets[bucket] += n
        for kind, n in part.errors.items():
            whole.errors[kind] = whole.errors.get(kind, 0) + n
    return whole


class TriggerStatistics(Times):
    """Counters of one keyspace trigger; they outlive a REPLACE of its library.

    ``last_run_ns`` is the moment of the last event. A run's time counts from its event.
    """

    __slots__ = (
        "failed",
        "last_error",
        "last_run_ns",
        "succeeded",
        "triggered",
    )

    def __init__(self) -> None:
        super().__init__()
        self.triggered = self.succeeded = self.failed = 0
        self.last_run_ns: int | None = None
        self.last_error: Failure | None = None


# What a kind of error is called that has no name of its own.
TIMEOUT: Final = "timeout"
MEMORY: Final = "memory"
STOPPED: Final = "stopped"
INTERRUPT: Final = "interrupt"
REFUSED: Final = "refused"
THROWN: Final = "thrown"

# Names are the library's choice: there may be as many as there are errors.
_MOST_KINDS: Final = 50
_LONGEST_KIND: Final = 60
OTHER: Final = "other"

_CODE: Final = re.compile(r"[A-Z][A-Z]+\b")


def error_kind(error: BaseException) -> str:
    """Return in one word why a run failed.

    ``TypeError`` and so on for an ``Error`` of JavaScript, ``WRONGTYPE`` or ``ERR`` for what
    a command answered, ``timeout``, ``memory``, ``interrupt``, ``stopped`` (its isolate is
    gone), ``refused`` (no rights on the key, or V8's memory is full), ``thrown`` for
    whatever else was thrown.
    """
    if isinstance(error, JsError):
        code = None if error.name else _CODE.match(str(error))
        return error.name or (code[0] if code else THROWN)
    if isinstance(error, JsTimeout):
        return TIMEOUT
    if isinstance(error, JsOom):
        return MEMORY
    if isinstance(error, JsTerminated):
        return STOPPED
    return INTERRUPT if isinstance(error, KeyboardInterrupt) else REFUSED
