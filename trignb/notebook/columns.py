"""Columns of stated dtypes, empty ones too.

pandas guesses a dtype from the values it is given, so an empty or a half-empty column changes
type. Every frame of trignb is built from these instead: column by column, which is also what
makes a frame of a million rows a matter of a second.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pandas as pd

from trignb.notebook.text import readable

__all__ = [
    "TEXT",
    "category",
    "count",
    "durations",
    "few_words",
    "flag",
    "frame",
    "nullable_count",
    "objects",
    "text",
    "times",
    "transposed",
    "uncollected",
    "unix_ms",
    "words",
    "words_or_missing",
]

# The dtype of text: `str` came with pandas 3, before it text was made of objects.
TEXT: Final = "str" if int(pd.__version__.partition(".")[0]) >= 3 else "object"


def frame(
    columns: Mapping[str, Any], *, index: str | Sequence[str], length: int
) -> pd.DataFrame:
    """Return a frame of these columns; `index` names the columns that become its index.

    Several names make a MultiIndex, whose levels keep their dtypes in an empty frame too.
    """
    names = [index] if isinstance(index, str) else list(index)
    data = {name: column for name, column in columns.items() if name not in names}
    labels: pd.Index
    if len(names) == 1:
        labels = pd.Index(columns[names[0]], name=names[0])
    else:
        labels = pd.MultiIndex.from_arrays(
            [columns[name] for name in names], names=names
        )
    if len(labels) != length:
        raise ValueError(f"{len(labels)} labels for {length} rows")
    return pd.DataFrame(data, index=labels, copy=False)


def text(values: Iterable[str | None]) -> Any:
    """Return a column of dtype `TEXT`; None is missing (NaN)."""
    if TEXT == "str":
        return pd.array(list(values), dtype="str")
    # pandas 2 would turn None into the text "None".
    return pd.array([np.nan if v is None else v for v in values], dtype=object)


def words(values: Sequence[bytes]) -> Any:
    """Return a ``str`` column of bytes that are mostly UTF-8; see `readable` for the rest."""
    try:
        return text([value.decode() for value in values])
    except UnicodeDecodeError:
        return text([readable(value) for value in values])


def words_or_missing(values: Sequence[bytes | None]) -> Any:
    """`words` of bytes some of which are None, which is missing."""
    return text([None if value is None else readable(value) for value in values])


# Rows that are taken apart at once: zip(*rows) makes an iterator per row, and a million
# rows one after the other, field by field, are never in the processor's cache.
_ROWS: Final = 1000


def transposed(rows: Sequence[tuple[Any, ...]], fields: int) -> list[list[Any]]:
    """Return the first fields of many rows as lists, a fourth of the time of a loop each."""
    found: list[list[Any]] = [[None] * len(rows) for _ in range(fields)]
    for start in range(0, len(rows), _ROWS):
        some = zip(*rows[start : start + _ROWS], strict=True)
        for column, values in zip(found, some, strict=False):
            column[start : start + _ROWS] = values
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector: it would scan a million new rows, none of them garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def few_words(values: Sequence[bytes]) -> Any:
    """Return a ``str`` column of bytes of which most are the same, as events are."""
    seen = {value: readable(value) for value in set(values)}
    return text([seen[value] for value in values])


def count(values: Iterable[int]) -> Any:
    """Return an ``int64`` column."""
    return np.fromiter(values, dtype=np.int64)


def nullable_count(values: Sequence[int | None]) -> Any:
    """Return an ``Int64`` column; None is missing. Exact up to 2 to the power of 53."""
    # One pass in C, in which None becomes NaN: a generator per row takes four times as long.
    numbers = np.array(values, dtype=np.float64)
    missing = np.isnan(numbers)
    numbers[missing] = 0
    return pd.arrays.IntegerArray(numbers.astype(np.int64), missing)


def durations(values: Iterable[float]) -> Any:
    """Return a ``float64`` column of durations, or of any other numbers."""
    return np.fromiter(values, dtype=np.float64)


def flag(values: Iterable[bool]) -> Any:
    """Return a ``bool`` column."""
    return np.fromiter(values, dtype=np.bool_)


def times(values_ns: Sequence[int | None]) -> Any:
    """Return a ``datetime64[ms, UTC]`` column of nanoseconds since the epoch."""
    smallest = np.iinfo(np.int64).min
    if None in values_ns:
        values_ns = [smallest if ns is None else ns for ns in values_ns]
    ns = np.fromiter(values_ns, dtype=np.int64)
    ms = np.where(ns == smallest, smallest, ns // 1_000_000)
    return pd.DatetimeIndex(ms.view("M8[ms]")).tz_localize("UTC")


# The end of the year 9999: later ones have no text.
_LATEST_MS: Final = 253_402_300_799_999


def unix_ms(values: Sequence[int]) -> Any:
    """Return a ``datetime64[ms, UTC]`` column; what no calendar has is missing (NaT)."""
    nat = np.iinfo(np.int64).min
    ms = [value if value <= _LATEST_MS else nat for value in values]
    column = np.fromiter(ms, dtype=np.int64)
    return pd.DatetimeIndex(column.view("M8[ms]")).tz_localize("UTC")


def category(codes: Sequence[int], categories: Sequence[str]) -> Any:
    """Return a ``category`` column of positions in `categories`."""
    return pd.Categorical.from_codes(
        np.fromiter(codes, dtype=np.int8), categories=text(categories)
    )


def objects(values: Sequence[Any]) -> Any:
    """Return an ``object`` column; lists stay lists."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
