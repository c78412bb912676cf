"""What stands below a cell: log lines, and failures of triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from functions.libraries import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

TALKS = """%%tfunction talks
redis.log('loaded');
redis.registerFunction('f', (client, ...args) => { redis.log('got ' + args); return 1; });
redis.registerKeySpaceTrigger('t', 'k', (client, data) => redis.log(data.event));
redis.registerAsyncFunction('a', async () => { redis.log('async'); return 1; });
redis.registerKeySpaceTrigger('bg', 'bg', async (client) => redis.log('background'));
"""
DENY = """%%tfunction
#!js api_version=1.0 name=deny
redis.registerKeySpaceTrigger('no', 'orc:', (client, data) => {
  refuse(data.key);
});
function refuse(key) {
  throw new TypeError('no orcs');
}
redis.registerStreamTrigger('each', 'st', () => { throw 'bad record'; });
redis.registerKeySpaceTrigger('late', 'bg', async () => { throw new Error('late'); });
"""


@pytest.fixture
def cell(shell: Any, capsys: Any) -> Callable[[str], str]:
    """Run a cell and return what it shows."""
    shell.run_cell("%tf clock set 2024-01-01T00:00:00Z")
    capsys.readouterr()

    def run(text: str) -> str:
        shell.run_cell(text)
        captured = capsys.readouterr()
        return str(captured.out + captured.err)

    return run


@pytest.fixture
def magics(shell: Any) -> Any:
    return shell.magics_manager.registry["TrignbMagics"]


def test_log_lines_of_the_cell(cell: Any) -> None:
    assert cell(TALKS).endswith("\nlog  talks: loaded\n")
    assert cell("r = %redis SET k1 1") == "log  talks: set\n"
    assert cell("r = %redis GET k1") == ""
    assert cell("%%redis --quiet\nTFCALL talks.f 0 x\nSET k1 2\n") == (
        "log  talks: got x\nlog  talks: set\n"
    )


def test_the_result_stands_above_its_note(cell: Any) -> None:
    cell(TALKS)
    shown = cell("%redis TFCALL talks.f 0")
    assert shown.index("(integer) 1") < shown.index("log  talks: got")


def test_lines_of_a_function_that_was_waited_for(cell: Any) -> None:
    cell(TALKS)
    assert cell("r = %redis TFCALLASYNC talks.a 0") == "log  talks: async\n"
    assert cell("r = %tf call talks.a") == "log  talks: async\n"


def test_what_the_background_does_is_shown_only_with_the_real_clock(
    cell: Any, magics: Any
) -> None:
    cell(TALKS)
    registry = magics.workbench.bench().engine.library_registry
    cell("r = %redis SET bg1 1")
    eventually(lambda: registry.lines[-1][1].text == "background")
    assert cell("pass") == ""
    cell("%tf clock real")
    shown = cell("r = %redis SET bg2 1")
    eventually(lambda: len(registry.lines) == 3)
    assert (shown + cell("pass")) == "log  talks: background\n"


def test_a_line_of_several_lines_and_markup(cell: Any, shell: Any) -> None:
    code = "redis.registerFunction('f', () => { console.log('a\\n<b>'); return 1; });"
    cell(f"%%tfunction x\n{code}")
    assert cell("r = %redis TFCALL x.f 0") == "log  x: a\n     <b>\n"


def test_many_lines_are_cut(cell: Any) -> None:
    cell(TALKS)
    shown = cell("%%redis --quiet\n60 TFCALL talks.f 0")
    assert shown.splitlines()[0] == "log  10 earlier lines: %tf log"
    assert len(shown.splitlines()) == 51


def test_a_trigger_that_failed(cell: Any) -> None:
    cell(DENY)
    assert cell("r = %redis HSET orc:1 a 1") == (
        "trigger deny.no failed on hset orc:1: TypeError: no orcs\n"
        "  line 6, column 9, in refuse (library deny, line 7 of its cell)\n"
        "  6 |   throw new TypeError('no orcs');\n"
        "    |         ^\n"
        "  called from line 3\n"
    )


@pytest.mark.parametrize("verbosity", [1, 2])
def test_error_verbosity_changes_nothing_in_the_frame(
    cell: Any, shell: Any, verbosity: int
) -> None:
    cell(DENY)
    cell(f"%redis CONFIG SET redisgears_2.error-verbosity {verbosity}")
    shown = cell("r = %redis HSET orc:1 a 1")
    assert shown.startswith(
        "trigger deny.no failed on hset orc:1: TypeError: no orcs\n"
    )
    assert "  6 |   throw new TypeError('no orcs');\n" in shown
    error, line = shell.run_line_magic("tf", "stats").loc[
        ("deny", "no"), ["last_error", "last_error_line"]
    ]
    assert error.startswith("TypeError: no orcs")
    assert line == 6


def test_failures_of_one_kind_are_told_once(cell: Any) -> None:
    cell(DENY)
    shown = cell("%%redis --quiet\nHSET orc:1 a 1\nHSET orc:2 a 1\nXADD st 1-0 a 1")
    assert "trigger deny.no failed 2 times, first on hset orc:1: Type" in shown
    assert "stream trigger deny.each failed on record 1-0 of st: bad record" in shown


def test_many_kinds_of_failure(cell: Any) -> None:
    names = range(8)
    cell(
        "%%tfunction many\n"
        + "\n".join(
            f"redis.registerKeySpaceTrigger('t{n}', 'k', () => {{ throw 'e{n}'; }});"
            for n in names
        )
    )
    shown = cell("r = %redis SET k 1")
    assert shown.count("failed on set k: e") == 5
    assert shown.endswith("3 other failures: %tf errors\n")


def test_a_failure_in_the_background_is_not_certain(cell: Any, magics: Any) -> None:
    cell(DENY)
    registry = magics.workbench.bench().engine.library_registry
    cell("r = %redis SET bg1 1")
    eventually(lambda: registry.errors_noted == 1)
    assert cell("pass") == ""


def test_a_library_loaded_by_a_command_has_no_cell(cell: Any, shell: Any) -> None:
    cell(DENY)
    shell.user_ns["code"] = (
        "#!js api_version=1.0 name=deny\n"
        "redis.registerKeySpaceTrigger('no', 'orc:', () => { throw 'other'; });"
    )
    cell("%redis TFUNCTION LOAD REPLACE {{code}}")
    shown = cell("r = %redis SET orc:1 1")
    assert shown.splitlines()[0] == "trigger deny.no failed on set orc:1: other"
    assert "of its cell" not in shown


def test_notes_can_be_switched_off(cell: Any, magics: Any) -> None:
    magics.notes = False
    assert "log  " not in cell(TALKS)
    magics.notes = True
    assert cell("pass") == ""


def test_note_in_html_is_escaped(shell: Any, magics: Any, monkeypatch: Any) -> None:
    from trignb.notebook import notes

    shown: list[Any] = []
    monkeypatch.setattr(notes, "display", shown.append)
    shell.run_cell(
        "%%tfunction x\nredis.registerFunction('f', () => { redis.log('<img>'); return 1; });"
    )
    shell.run_cell("r = %redis TFCALL x.f 0")
    (note,) = shown
    bundle = note._repr_mimebundle_()
    assert bundle["text/plain"] == "log  x: <img>"
    assert "log  x: &lt;img&gt;" in bundle["text/html"]
    assert "var(--jp-" in bundle["text/html"]
