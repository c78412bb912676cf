"""What docs/notebook.md says of the frames is what they are, empty and filled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from functions.libraries import lib
from trignb.notebook.columns import TEXT

if TYPE_CHECKING:
    import pandas as pd

    import trignb

PAGE = Path(__file__).parents[2] / "docs" / "notebook.md"


class Schema(NamedTuple):
    index: list[str]
    columns: dict[str, str]
    categories: dict[str, list[str]]


def documented() -> Iterator[tuple[str, Schema]]:
    """Yield the schema of every subsection that has a table of columns."""
    text = PAGE.read_text("utf-8").partition("\n## DataFrames\n")[2]
    for section in text.partition("\n## ")[0].split("\n### ")[1:]:
        if "| column | dtype |" not in section:
            continue
        index = re.search(r"Index\s`([^`]*)`", section)
        assert index, section
        columns: dict[str, str] = {}
        categories = {}
        for names, dtype, note in re.findall(
            r"^\| (`.*?) \| (\S[^|]*?) \|(.*)\|$", section, re.M
        ):
            for name in re.findall(r"`([^`]*)`", names):
                columns[name] = TEXT if dtype == "str" else dtype
                if dtype == "category" and "as OBJECT" not in note:
                    categories[name] = re.split(r",? ", note.strip().split(":")[0])
        title = section.partition("\n")[0]
        yield title, Schema(index[1].split(", "), columns, categories)


SCHEMAS = dict(documented())


def test_text_is_str_since_pandas_3() -> None:
    major = int(metadata.version("pandas").partition(".")[0])
    assert ("str" if major >= 3 else "object") == TEXT


def of_frame(frame: pd.DataFrame) -> tuple[list[str], dict[str, str]]:
    dtypes = {str(name): str(dtype) for name, dtype in frame.dtypes.items()}
    return [str(name) for name in frame.index.names], dtypes


SOURCE = lib(
    """redis.registerFunction('f', () => redis.log('hello'));
redis.registerKeySpaceTrigger('t', 'user:', () => { throw new TypeError('boom'); });
redis.registerStreamTrigger('s', 'st:', () => {});"""
)


def fill(engine: trignb.Engine) -> None:
    engine.commands()
    engine.replication_log()
    engine.load(SOURCE)
    engine.call("lib.f")
    engine.execute("HSET", "user:1", "name", "tom")
    engine.execute("XADD", "st:1", "1-0", "f", "v")


def test_every_frame_is_documented(engine: trignb.Engine) -> None:
    asked = {"keys_frame", "logs"}
    assert set(SCHEMAS) >= asked | {
        *("triggers", "stream_triggers", "latencies", "functions", "libraries"),
        *("notifications", "commands", "errors", "replication_log"),
    }


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_the_documented_one(
    engine: trignb.Engine, name: str, filled: bool
) -> None:
    if filled:
        fill(engine)
    make: Callable[[], Any] = getattr(engine, name)
    frame, schema = make(), SCHEMAS[name]
    assert bool(len(frame)) == filled
    assert of_frame(frame) == (schema.index, schema.columns)
    # Which order columns have is part of it, and a dict's equality is blind to that.
    assert list(frame.columns) == list(schema.columns)
    for column, categories in schema.categories.items():
        assert list(frame[column].cat.categories) == categories, column


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_index_has_the_same_dtypes_when_empty(
    engine: trignb.Engine, name: str, filled: bool
) -> None:
    if filled:
        fill(engine)
    frame = getattr(engine, name)()
    dtypes = [str(frame.index.get_level_values(n).dtype) for n in frame.index.names]
    wanted = ["int64" if n == "seq" else TEXT for n in frame.index.names]
    assert dtypes == wanted
