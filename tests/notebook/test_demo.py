from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from rich.console import Console

from trignb.notebook.demo import DEMO_NOTEBOOK, find_notebook, run_demo

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / DEMO_NOTEBOOK
LESSONS = ["04-what-fires.ipynb", "05-transactions.ipynb"]

# What the page that trignb follows shows, word for word; where the page and the engine differ
# in the name of a library or in what follows, up to there.
TRANSCRIPTS = [
    """\
redis> hset h x 1
(integer) 1
redis> hgetall h
1) "x"
2) "1"
3) "__last_updated__"
4) "1658390831"
""",
    """\
redis> hincrby h x 1
(integer) 2
redis> hgetall h
1) "x"
2) "2"
3) "__last_updated__"
4) "1658390910"
""",
    # Here the page is not followed: the module's own fields come first, in its order.
    """\
1)  1) "api_version"
    2) "1.0"
    3) "cluster_functions"
    4) (empty array)
    5) "configuration"
    6) (nil)
    7) "engine"
    8) "js"
    9) "functions"
   10) (empty array)
   11) "keyspace_triggers"
   12) 1)  1) "description"
           2) (nil)
           3) "last_error"
           4) "TypeError: redis.call is not a function"
           5) "last_execution_time"
           6) (integer) 0
           7) "name"
           8) "consumer"
""",
    """\
redis> hset x name tom
(integer) 1
redis> hset x name jerry
(integer) 0
redis> get name_tom
"1"
redis> get name_jerry
"1"
""",
    """\
redis> multi
OK
redis(TX)> hset x name tom
QUEUED
redis(TX)> hset x name jerry
QUEUED
redis(TX)> exec
1) (integer) 1
2) (integer) 0
redis> get name_tom
(nil)
redis> get name_jerry
"2"
""",
    """\
redis(TX)> exec
1) (integer) 1
2) (integer) 0
redis> get name_tom
"1"
redis> get name_jerry
"1"
""",
]


def tell(path: Path) -> tuple[int, str]:
    out = io.StringIO()
    status = run_demo(path, Console(file=out, width=100, highlight=False))
    return status, out.getvalue()


def notebook(tmp_path: Path, *cells: Any) -> Path:
    path = tmp_path / "n.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def shows(text: str) -> Any:
    return new_output("execute_result", {"text/plain": text}, execution_count=1)


def test_the_tutorial_does_what_it_says() -> None:
    status, text = tell(NOTEBOOK)
    assert status == 0, text
    assert "every one did what the notebook says" in text
    assert "num_triggered" in text.splitlines()[-7]


def texts_of(path: Path) -> list[str]:
    cells: Any = nbformat.read(path, as_version=4).cells
    outputs = [o for cell in cells for o in cell.get("outputs", ())]
    return [o["data"]["text/plain"] + "\n" for o in outputs if "data" in o]


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
def test_the_tutorial_holds_the_transcripts(transcript: str) -> None:
    assert any(transcript in text for text in texts_of(NOTEBOOK))


@pytest.mark.parametrize("transcript", TRANSCRIPTS)
def test_the_lessons_hold_the_transcripts(transcript: str) -> None:
    lessons = [NOTEBOOK.with_name(name) for name in LESSONS]
    assert any(transcript in text for path in lessons for text in texts_of(path))


def test_a_difference_is_shown_and_fails(tmp_path: Path) -> None:
    path = notebook(
        tmp_path,
        new_markdown_cell("# A title"),
        new_code_cell("1 + 1", outputs=[shows("3")]),
        new_code_cell("print('fine')", outputs=[new_output("stream", text="fine\n")]),
    )
    status, text = tell(path)
    assert status == 1
    assert "A title" in text
    assert "-3" in text
    assert "+2" in text
    assert "not what the notebook says: cell 1 of 2" in text


def test_an_error_fails_unless_expected(tmp_path: Path) -> None:
    failing = new_code_cell("%load_ext trignb\n%redis NONSENSE")
    status, text = tell(notebook(tmp_path, failing))
    assert status == 1
    assert "this cell was not expected to fail" in text
    failing.metadata["tags"] = ["raises-exception"]
    failing.outputs = [
        new_output(
            "error",
            ename="RedisError",
            evalue="",
            traceback=[
                "RedisError: ERR unknown command 'NONSENSE', with args beginning with: "
            ],
        )
    ]
    status, text = tell(notebook(tmp_path, failing))
    assert status == 0, text


def test_missing_notebook(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_notebook(tmp_path / "none.ipynb")
    status, text = tell(tmp_path / "none.ipynb")
    assert status == 1
    assert "run the demo from a checkout" in " ".join(text.split())


def test_tutorial_is_found_from_the_checkout() -> None:
    assert find_notebook() == NOTEBOOK
