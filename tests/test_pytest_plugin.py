"""The fixtures people test their own libraries with."""

from __future__ import annotations

import pytest

LIBRARY = """#!js api_version=1.0 name=names
redis.registerKeySpaceTrigger("count", "user:", (client, data) => {
    const name = client.call("hget", data.key, "name");
    client.call("incr", `name_${name}`);
});
"""


def run(pytester: pytest.Pytester, test: str) -> pytest.RunResult:
    """Run a user's test file beside a library."""
    pytester.makepyfile(test)
    pytester.path.joinpath("names.js").write_text(LIBRARY, "utf-8")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")


def test_library_is_loaded_from_a_file_beside_the_test(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
        def test_counts(trignb_engine, trignb_library):
            library = trignb_library("names.js")
            assert library.name == "names"
            trignb_engine.execute("HSET", "user:1", "name", "tom")
            assert trignb_engine.execute("GET", "name_tom") == b"1"
        """,
    )
    result.assert_outcomes(passed=1)


def test_library_may_be_given_as_code_and_replaces(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        CODE = '''#!js api_version=1.0 name=lib
        redis.registerFunction("f", () => redis.config.answer);
        '''

        def test_replaces(trignb_engine, trignb_library):
            trignb_library(CODE)
            trignb_library(CODE, config={"answer": 42})
            assert trignb_engine.call("lib.f") == 42
        """,
    )
    result.assert_outcomes(passed=1)


def test_every_test_gets_a_fresh_engine_with_a_frozen_clock(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
        import time
        import pytest

        @pytest.mark.parametrize("n", [1, 2])
        def test_fresh(trignb_engine, n):
            assert trignb_engine.execute("DBSIZE") == 0
            first = trignb_engine.execute("TIME")
            time.sleep(0.01)
            assert trignb_engine.execute("TIME") == first
            trignb_engine.execute("SET", "k", "v", "EX", 3600)
            trignb_engine.clock.advance(seconds=3601)
            assert trignb_engine.execute("EXISTS", "k") == 0
        """,
    )
    result.assert_outcomes(passed=2)


def test_missing_file_says_where_it_was_looked_for(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_missing(trignb_library):
            trignb_library("other.js")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*FileNotFoundError: there is no library 'other.js' in*"]
    )


def test_broken_library_fails_the_test_with_its_line(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_broken(trignb_library):
            trignb_library("#!js api_version=1.0 name=lib\\n\\nlet x = ;")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*JavaScriptError: *Unexpected token*"])
