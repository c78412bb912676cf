"""The console script, as a shell and a CI job use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import trignb
from trignb.cli import main

GOOD = """#!js api_version=1.0 name=good
redis.registerFunction("add", (client, a, b) => Number(a) + Number(b), {
    description: "adds [two] numbers",
    flags: ["no-writes"],
});
redis.registerFunction("read", (client, key) => client.call("get", key));
redis.registerAsyncFunction("later", async () => 1);
redis.registerAsyncFunction("never", async () => new Promise(() => {}));
redis.registerKeySpaceTrigger("count", "user:", () => {});
redis.registerStreamTrigger("read", "orders:", () => {}, {window: 3, isStreamTrimmed: true});
redis.registerClusterFunction("here", async () => 1);
"""
BROKEN = """#!js api_version=1.0 name=broken
redis.registerFunction("f", () => 1);
	const x = = 1;
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A library that loads."""
    path = tmp_path / "good.js"
    path.write_text(GOOD, "utf-8")
    return path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A library with a syntax error on its third line."""
    path = tmp_path / "broken.js"
    path.write_text(BROKEN, "utf-8")
    return path


def run(*args: object) -> Result:
    """Run the script in this process."""
    return CliRunner().invoke(main, [str(arg) for arg in args], env={"COLUMNS": "200"})


def test_check_lists_what_a_library_registers(good: Path) -> None:
    result = run("check", good)
    assert result.exit_code == 0
    for text in ("library good, API 1.0", "add", "no-writes", "adds [two] numbers"):
        assert text in result.output
    assert "async function" in result.output
    assert "keyspace trigger" in result.output
    assert "keys beginning with 'user:'" in result.output
    assert "streams beginning with 'orders:', window 3, trimmed" in result.output
    assert "cluster function │ here" in result.output


def test_check_shows_line_column_and_caret(broken: Path) -> None:
    result = run("check", broken)
    assert result.exit_code == 1
    assert "SyntaxError" in result.output
    assert "broken.js:3:" in result.output
    source, caret = result.output.splitlines()[-2:]
    assert source.expandtabs()[caret.expandtabs().index("^")] == "="


def test_check_goes_on_after_a_failure(good: Path, broken: Path) -> None:
    result = run("check", broken, good)
    assert result.exit_code == 1
    assert "library good" in result.output


def test_check_of_a_missing_file_is_a_usage_error() -> None:
    assert run("check", "none.js").exit_code == 2


def test_check_passes_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "needs.js"
    path.write_text(
        "#!js api_version=1.0 name=needs\n"
        "redis.registerFunction(redis.config.name, () => 1);\n",
        "utf-8",
    )
    assert "given" in run("check", "--config", '{"name": "given"}', path).output
    assert run("check", path).exit_code == 1


def test_call_prints_the_reply_as_redis_cli_does(good: Path) -> None:
    result = run("call", "-l", good, "good.add", "2", "3")
    assert (result.exit_code, result.output) == (0, "(integer) 5\n")


def test_call_runs_commands_first(good: Path) -> None:
    result = run("call", "-l", good, "-r", 'SET k "a b"', "-k", "k", "good.read")
    assert (result.exit_code, result.output) == (0, '"a b"\n')


def test_call_of_an_unknown_function_fails(good: Path) -> None:
    result = run("call", "-l", good, "good.none")
    assert result.exit_code == 1
    assert result.output.startswith("(error) ")


def test_call_with_an_open_quote_is_a_usage_error(good: Path) -> None:
    assert run("call", "-l", good, "-r", 'SET k "a', "good.add").exit_code == 2


def test_call_shows_why_a_library_does_not_load(broken: Path) -> None:
    result = run("call", "-l", broken, "broken.f")
    assert result.exit_code == 1
    assert "SyntaxError" in result.output


def test_version_is_the_packages() -> None:
    assert trignb.__version__ in run("--version").output


def test_module_is_the_same_script() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "trignb", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in ("demo", "check", "call"):
        assert command in result.stdout


def test_call_waits_for_a_coroutine(good: Path) -> None:
    assert run("call", "good.later", "-l", good).output == "(integer) 1\n"


def test_call_gives_up_in_time(good: Path) -> None:
    result = run("call", "good.never", "-l", good, "--timeout", 0.05)
    assert result.exit_code == 1
    assert "did not answer within 0.05 s" in result.output


def test_an_almost_right_command_gets_a_hint() -> None:
    result = run("sevre")
    assert result.exit_code == 2
    assert "'serve'" in result.output


def test_an_almost_right_option_gets_a_hint() -> None:
    result = run("check", "--confg", "{}", "x.js")
    assert result.exit_code == 2
    assert "--config" in result.output


def test_serve_explains_itself() -> None:
    output = run("serve", "--help").output
    assert "  trignb serve --port 7000 --maxmemory 100mb --save 900 1\n" in output
    for option in ("--config", "--load", "--gears-config"):
        assert option in output


def test_typings_lie_in_the_package() -> None:
    result = run("typings")
    assert result.exit_code == 0
    assert (Path(result.output.strip()) / "redis.d.ts").is_file()


def test_typings_are_copied_beside_libraries(tmp_path: Path) -> None:
    folder = tmp_path / "libraries"
    result = run("typings", folder)
    assert result.exit_code == 0
    assert "declare var redis" in (folder / "redis.d.ts").read_text("utf-8")
    assert (folder / "jsconfig.json").is_file()


def test_typings_leave_the_settings_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "jsconfig.json").write_text("{}", "utf-8")
    (tmp_path / "redis.d.ts").write_text("// an old one", "utf-8")
    result = run("typings", tmp_path)
    assert "stays as it is" in result.output
    assert (tmp_path / "jsconfig.json").read_text("utf-8") == "{}"
    assert "declare var redis" in (tmp_path / "redis.d.ts").read_text("utf-8")
