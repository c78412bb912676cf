"""Libraries with other people's code in them: packages of npm, bundled and minified by esbuild."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import trignb
from node import run

ENTRY = """
import * as math from 'mathjs';
import dayjs from 'dayjs';
export {math, dayjs};
"""
LIBRARY = """#!js api_version=1.0 name=bundled
%s
redis.registerFunction('evaluate', (client, text) => String(bundle.math.evaluate(text)));
redis.registerFunction('a_month_later', (client, day) =>
    bundle.dayjs(day).add(1, 'month').format('YYYY-MM-DD dddd'));
redis.registerKeySpaceTrigger('normalize', 'point:', (client, data) => {
    const at = bundle.math.evaluate(client.call('get', data.key));
    client.call('set', `length:${data.key}`, bundle.math.norm(at).toString());
});
redis.registerFunction('fails', () => bundle.math.evaluate('1 +'));
"""


@pytest.fixture(scope="module")
def bundle(node_packages) -> str:
    """A script of some hundred kB that leaves `bundle` behind."""
    (node_packages / "entry.mjs").write_text(ENTRY)
    return run(
        node_packages,
        *("npx", "esbuild", "entry.mjs", "--bundle", "--minify", "--format=iife"),
        "--global-name=bundle",
    )


@pytest.fixture
def bundled(bundle: str) -> trignb.Engine:
    with trignb.Engine() as engine:
        # Its load takes a fifth of the limit, on a machine with nothing else to do.
        engine.execute("CONFIG", "SET", "redisgears_2.lock-redis-timeout", "20000")
        engine.load(LIBRARY % bundle)
        yield engine


@pytest.mark.timeout(180)
def test_its_functions_answer(bundle: str, bundled: trignb.Engine) -> None:
    assert len(bundle) > 300_000
    assert bundled.call("bundled.evaluate", args=["inv([[1, 2], [3, 4]])"]) == (
        b"[[-2, 1], [1.5, -0.5]]"
    )
    assert bundled.call("bundled.evaluate", args=["2 inch to cm"]) == b"5.08 cm"
    assert bundled.call("bundled.a_month_later", args=["2024-01-31"]) == (
        b"2024-02-29 Thursday"
    )


def test_its_triggers_fire(bundled: trignb.Engine) -> None:
    bundled.execute("SET", "point:a", "[3, 4]")
    assert bundled.execute("GET", "length:point:a") == b"5"


def test_an_error_deep_inside_has_a_line(bundled: trignb.Engine) -> None:
    with pytest.raises(
        trignb.JavaScriptError, match="^SyntaxError: Unexpected"
    ) as caught:
        bundled.call("bundled.fails")
    assert caught.value.line is not None


def test_it_is_replaced_and_gone(bundle: str, bundled: trignb.Engine) -> None:
    bundled.load(LIBRARY % bundle, replace=True)
    assert bundled.call("bundled.evaluate", args=["1 + 1"]) == b"2"
    assert bundled.execute("TFUNCTION", "DELETE", "bundled") == "OK"
    with pytest.raises(trignb.ResponseError, match="^Unknown library bundled"):
        bundled.call("bundled.evaluate", args=["1 + 1"])


# -- the recipe of docs/bring-your-library.md, on sources as people write them

GEARS_API = """
var redis = redis;
export {redis};
"""
TOTAL = "export const total = (list) => list.map(Number).reduce((a, b) => a + b, 0);\n"
SOURCE = """import { redis } from '@redis/gears-api';
import dayjs from 'dayjs';
import { total } from './total.js';
redis.registerFunction('total', (client, ...list) => total(list));
redis.registerFunction('year', (client, day) => dayjs(day).format('YYYY'));
redis.registerKeySpaceTrigger('seen', 'k', (client, data) => client.call('incr', 'seen'));
"""
PROLOGUE = "#!js api_version=1.0 name=bundled"
PAGE = Path(__file__).parents[2] / "docs" / "bring-your-library.md"


@pytest.fixture(scope="module")
def sources(node_packages: Path) -> Path:
    """A folder with a library of several files, beside a stand-in for RedisGears' package."""
    package = node_packages / "node_modules" / "@redis" / "gears-api"
    package.mkdir(parents=True, exist_ok=True)
    (package / "package.json").write_text(
        '{"name": "@redis/gears-api", "version": "1.0.0", "type": "module", "main": "index.js"}'
    )
    (package / "index.js").write_text(GEARS_API)
    (node_packages / "total.js").write_text(TOTAL)
    return node_packages


def recipe() -> tuple[list[str], str]:
    """The command of the page, and its option for a source without a prologue."""
    text = PAGE.read_text()
    command = re.search(r"^npx (esbuild .*--bundle.*)$", text, re.M)
    banner = re.search(r'`(--banner:js)="([^"]*)"`', text)
    assert command
    assert banner
    return shlex.split(command[1]), f"{banner[1]}={banner[2]}"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("minify", [[], ["--minify-syntax", "--minify-whitespace"]])
@pytest.mark.parametrize("has_prologue", [True, False])
def test_the_recipe_for_bundles(
    sources: Path, has_prologue: bool, minify: list[str]
) -> None:
    source = f"{PROLOGUE}\n{SOURCE}" if has_prologue else SOURCE
    (sources / "library.js").write_text(source)
    command, banner = recipe()
    more = [] if has_prologue else [banner]
    run(sources, "npx", *command, *more, *minify)
    code = (sources / "bundle.js").read_text()
    assert code.startswith("#!js ")
    assert code.count("#!js") == 1
    name = code.partition("\n")[0].rpartition("=")[2]
    with trignb.Engine() as engine:
        engine.execute("CONFIG", "SET", "redisgears_2.lock-redis-timeout", "20000")
        engine.load(code)
        assert engine.call(f"{name}.total", args=[1, 2, 3]) == 6
        assert engine.call(f"{name}.year", args=["2024-01-31"]) == b"2024"
        engine.execute("SET", "k", "v")
        assert engine.execute("GET", "seen") == b"1"


@pytest.mark.timeout(180)
def test_a_banner_on_a_source_with_a_prologue_is_told_of(sources: Path) -> None:
    (sources / "library.js").write_text(f"{PROLOGUE}\n{SOURCE}")
    command, banner = recipe()
    run(sources, "npx", *command, banner)
    with (
        trignb.Engine() as engine,
        pytest.raises(trignb.JavaScriptError, match="SyntaxError") as caught,
    ):
        engine.load((sources / "bundle.js").read_text())
    assert "prologue stands twice" in caught.value.__notes__[0]
