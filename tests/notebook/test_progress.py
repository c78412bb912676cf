from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from trignb import Engine, api
from trignb.notebook import progress
from trignb.persistence import loading


class Watch:
    """A clock in the hand of a test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """What a notebook's cell was told to show."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.bundles.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert self.bundles
        self.bundles.append(bundle)

    @property
    def texts(self) -> list[str]:
        return [bundle["text/plain"] for bundle in self.bundles]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(progress, "monotonic", watch)
    return watch


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A notebook whose cell runs now."""
    shown = Shown()
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.display)
    monkeypatch.delenv("TRIGNB_STATIC", raising=False)
    return shown


def run(watch: Watch, seconds: float, wanted: progress.Wanted = None) -> None:
    """Do ten things, which take so many seconds together."""
    with progress.watching("keys", wanted) as step:
        for done in range(1, 11):
            watch.now += seconds / 10
            step(done * 1000, 10_000)


def test_nothing_is_shown_for_what_is_quick(watch: Watch, cell: Shown) -> None:
    run(watch, 0.9)
    assert cell.bundles == []


def test_a_bar_in_place_after_a_second(watch: Watch, cell: Shown) -> None:
    run(watch, 4)
    assert cell.texts == [
        "3,000 of 10,000 keys (30 %), 3 s left",
        *(
            f"{n},000 of 10,000 keys ({n}0 %), {left} s left"
            for n, left in zip(range(4, 11), (2, 2, 2, 1, 1, 0, 0), strict=True)
        ),
        "10,000 keys in 4.0 s",
    ]
    first, last = cell.bundles[0]["text/html"], cell.bundles[-1]["text/html"]
    assert '<progress value="0.300" max="1"' in first
    assert "<progress" not in last
    assert "10,000 keys in 4.0 s" in last


def test_preparation_is_not_taken_for_slowness(watch: Watch, cell: Shown) -> None:
    with progress.watching("keys") as step:
        watch.now += 100
        step(100, 400)
        watch.now += 1
        step(200, 400)
    assert cell.texts == [
        "100 of 400 keys (25 %)",
        "200 of 400 keys (50 %), 2 s left",
        "200 keys in 101.0 s",
    ]


def test_it_is_drawn_five_times_a_second_at_most(watch: Watch, cell: Shown) -> None:
    with progress.watching("keys") as step:
        for done in range(1, 10_001):
            watch.now += 0.001
            step(done, 10_000)
    # Nine seconds of drawing, and the last line.
    assert 44 <= len(cell.bundles) <= 47


@pytest.mark.parametrize(
    ("error", "word"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")]
)
def test_the_last_line_says_that_it_was_ended(
    watch: Watch, cell: Shown, error: type[BaseException], word: str
) -> None:
    def fail() -> None:
        with progress.watching("keys") as step:
            watch.now += 2
            step(10, 40)
            raise error

    with pytest.raises(error):
        fail()
    assert cell.texts[-1] == f"{word} at 10 of 40 keys, after 2.0 s"


def test_static_notebooks_show_none(
    watch: Watch, cell: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIGNB_STATIC", "1")
    run(watch, 4)
    assert cell.bundles == []


def test_false_shows_none(watch: Watch, cell: Shown) -> None:
    run(watch, 4, False)
    assert cell.bundles == []


def test_background_threads_show_none(watch: Watch, cell: Shown) -> None:
    thread = threading.Thread(target=run, args=(watch, 4))
    thread.start()
    thread.join()
    assert cell.bundles == []


def test_a_function_of_ones_own_is_called_at_once(watch: Watch, cell: Shown) -> None:
    calls: list[tuple[int, int]] = []
    run(watch, 0.1, lambda *at: calls.append(at))
    assert calls[0] == (1000, 10_000)
    assert calls[-1] == (10_000, 10_000)
    assert cell.bundles == []


def test_outside_of_a_notebook_only_who_asks_sees_a_line(
    watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(watch, 4)
    assert capsys.readouterr().err == ""
    run(watch, 4, True)
    err = capsys.readouterr().err
    assert "█" * 6 + "░" * 14 + " 3,000 of 10,000 keys" in err
    assert err.endswith("10,000 keys in 4.0 s\n")


def test_a_shell_in_a_terminal_is_no_notebook(shell: Any) -> None:
    assert sys.modules["IPython"].get_ipython() is shell
    assert not progress.is_shown()


def test_markup_in_a_unit_is_text(watch: Watch, cell: Shown) -> None:
    with progress.watching("<img onerror>") as step:
        watch.now += 2
        step(1, 2)
    assert not any("<img" in bundle["text/html"] for bundle in cell.bundles)


def test_loading_a_file_shows_how_far_it_is(
    watch: Watch, cell: Shown, shell: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    with Engine(rdbcompression="no", rdbchecksum="no") as engine:
        for i in range(40):
            engine.execute("SET", f"k{i}", os.urandom(100_000))
        engine.save(tmp_path / "dump.rdb")
        size = (tmp_path / "dump.rdb").stat().st_size
    read_rdb = api.read_rdb

    def slow(
        data: bytes, config: Any, now_ms: int, step: progress.Step, *every: int
    ) -> Any:
        def tick(done: int, total: int) -> None:
            watch.now += 2
            step(done, total)

        return read_rdb(data, config, now_ms, tick, *every)

    monkeypatch.setattr(api, "read_rdb", slow)
    monkeypatch.setattr(loading, "read_rdb", slow)
    Engine.from_rdb(tmp_path / "dump.rdb").close()
    shell.run_line_magic("redis_load", str(tmp_path / "dump.rdb"))
    assert cell.texts[0].endswith(f"of {size:,} bytes (27 %)")
    assert [t for t in cell.texts if " in " in t] == [f"{size:,} bytes in 8.0 s"] * 2
    before = len(cell.texts)
    Engine.from_rdb(tmp_path / "dump.rdb", progress=False).close()
    assert len(cell.texts) == before
