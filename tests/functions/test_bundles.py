"""Libraries with other people's code in them: packages of npm, bundled and minified by esbuild."""

from __future__ import annotations

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
