"""``--trace``, ``--dry-run``, ``%tf trace`` and ``%tf explain`` in a real shell."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from functions.libraries import lib
from trignb.notebook.errors import RedisError, UsageError
from trignb.notebook.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    import trignb
    from kernels import Kernel

STAMP = """redis.registerKeySpaceTrigger('stamp', 'user:', (client, data) => {
    client.call('hset', data.key, 'seen', '1');
});
redis.registerKeySpaceTrigger('later', 'job:', async (client, data) => {
    client.block(c => c.call('incr', 'jobs'));
});"""


def text(*lines: str) -> str:
    return dedent("\n".join(lines)).strip("\n")


@pytest.fixture
def magics(shell: Any) -> Any:
    shell.run_cell_magic("tfunction", "", lib(STAMP, "audit"))
    return shell.magics_manager.registry["TrignbMagics"]


@pytest.fixture
def engine(magics: Any) -> trignb.Engine:
    engine: trignb.Engine = magics.workbench.bench().engine
    engine.clock.freeze(at="2026-01-01T12:00:00Z")
    return engine


@pytest.fixture
def redis(shell: Any, engine: trignb.Engine) -> Callable[..., Any]:
    def run(line: str, cell: str | None = None) -> Any:
        if cell is None:
            return shell.run_line_magic("redis", line)
        return shell.run_cell_magic("redis", line, cell)

    return run


@pytest.fixture
def tf(shell: Any, engine: trignb.Engine) -> Callable[[str], Any]:
    return lambda line: shell.run_line_magic("tf", line)


def test_a_line_shows_reply_and_trace(redis: Any) -> None:
    reply = redis("--trace HSET user:1 name tom")
    assert reply == 1
    assert reply.text == "(integer) 1"
    assert repr(reply) == text(
        "(integer) 1",
        "",
        "HSET user:1 name tom → (integer) 1",
        '├─ user:1 (hash, new): + name "tom"',
        "└─ event hset user:1",
        "   └─ trigger audit.stamp: ok",
        "      └─ hset user:1 seen 1 → (integer) 1",
        '         ├─ user:1 (hash): + seen "1"',
        "         └─ event hset user:1",
    )
    bundle = reply._repr_mimebundle_()
    assert bundle["text/plain"] == repr(reply)
    assert "<details open>" in bundle["text/html"]
    assert "(integer) 1" in bundle["text/html"]


def test_a_cell_shows_transcript_and_trace(redis: Any) -> None:
    replies = redis("--trace", "SET a 1\nSET job:1 x")
    shown = repr(replies)
    assert shown.startswith(
        "redis> SET a 1\nOK\nredis> SET job:1 x\nOK\n\nSET a 1 → OK"
    )
    # The coroutine was waited for.
    assert "trigger audit.later (async): ok" in shown
    assert "incr jobs → (integer) 1" in shown
    assert replies.trace.keys() == ["a", "job:1", "jobs"]
    assert "<pre" in replies._repr_mimebundle_()["text/html"]


def test_text_only_where_that_is_wanted(magics: Any, redis: Any) -> None:
    magics.display = "text"
    bundle = redis("--trace SET a 1")._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]


def test_a_table_is_returned_and_the_trace_shown(
    redis: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = redis("--trace --df SET a 1")
    assert len(frame) == 1
    assert "SET a 1 → OK" in capsys.readouterr().out


def test_an_error_shows_what_was_traced_so_far(
    redis: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RedisError, match="WRONGTYPE"):
        redis("--trace", "SET a 1\nLPUSH a x\nSET b 1")
    shown = capsys.readouterr().out
    assert "SET a 1 → OK" in shown
    assert "LPUSH a x → (error) WRONGTYPE" in shown
    assert "SET b" not in shown


def test_traces_and_dry_runs_can_be_interrupted(kernel: Kernel) -> None:
    assert kernel.run("%load_ext trignb")[0] == "ok"
    kernel.run("import threading; engine = %tf engine default")
    watch = (
        "def tell():\n"
        "    while not engine.core.blocking.sessions: pass\n"
        "    print('running', flush=True)\n"
        "threading.Thread(target=tell, daemon=True).start()\n"
    )
    texts, waited = kernel.interrupt(f"{watch}%redis --trace BLPOP q 0", "running")
    assert texts[0] == "KeyboardInterrupt"
    assert waited < 5
    assert kernel.run("engine.core.tracing.is_armed") == ("ok", ["False"])
    status, texts = kernel.run("%redis --trace SET k v")
    assert status == "ok"
    assert texts == ['OK\n\nSET k v → OK\n├─ k (string, new): "v"\n└─ event set k']
    texts, waited = kernel.interrupt(
        "timer = threading.Timer(0.3, print, ['running'], {'flush': True}); timer.start()\n"
        "%redis --dry-run BLPOP q 0",
        "running",
    )
    assert texts[0] == "KeyboardInterrupt"
    assert kernel.run("%tf reset") == ("ok", ["OK"])


def test_nothing_is_traced_without_the_option(engine: Any, redis: Any) -> None:
    reply = redis("SET a 1")
    assert reply.trace is None
    assert reply.diff is None
    assert not engine.core.tracing.is_armed


# -- dry runs


def test_a_dry_run_shows_replies_and_what_would_change(
    engine: trignb.Engine, redis: Any
) -> None:
    redis("SET a 1")
    before = engine.snapshot()
    replies = redis("--dry-run", "INCR a\nHSET user:1 name tom\nDEL none\nSET job:1 x")
    assert repr(replies) == text(
        "redis> INCR a",
        "(integer) 2",
        "redis> HSET user:1 name tom",
        "(integer) 1",
        "redis> DEL none",
        "(integer) 0",
        "redis> SET job:1 x",
        "OK",
        "",
        "dry run, nothing of it is kept:",
        'a (string): "1" → "2"',
        'user:1 (hash, new): + name "tom", + seen "1"',
        'job:1 (string, new): "x"',
        'jobs (string, new): "1"',
    )
    assert engine.snapshot() == before
    assert redis("GET a") == "1"
    assert replies.diff.keys() == ["a", "user:1", "job:1", "jobs"]
    assert replies.trace is None


def test_a_dry_run_that_changes_nothing(redis: Any) -> None:
    reply = redis("--dry-run GET a")
    assert repr(reply) == text(
        "(nil)", "", "dry run, nothing of it is kept:", "(no key changed)"
    )


def test_a_dry_run_may_be_traced(redis: Any) -> None:
    reply = redis("--dry-run --trace SET a 1")
    assert repr(reply) == text(
        "OK",
        "",
        "dry run, nothing of it is kept:",
        'a (string, new): "1"',
        "",
        "SET a 1 → OK",
        '├─ a (string, new): "1"',
        "└─ event set a",
    )


def test_a_dry_run_is_the_notebooks_client(magics: Any, redis: Any) -> None:
    redis("SELECT 3")
    redis("SET k here")
    reply = redis("--dry-run", "GET k\nSELECT 4")
    assert reply[0] == "here"
    assert magics.workbench.bench().session.db.index == 3
    assert redis("--dry-run -n 3 GET k") == "here"


def test_a_dry_run_in_the_middle_of_a_multi(redis: Any) -> None:
    redis("MULTI")
    with pytest.raises(UsageError, match="middle of a MULTI"):
        redis("--dry-run SET a 1")
    redis("DISCARD")


def test_a_dry_run_that_fails_keeps_nothing_either(
    engine: trignb.Engine, redis: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RedisError, match="WRONGTYPE"):
        redis("--dry-run", "SET a 1\nLPUSH a x")
    assert 'a (string, new): "1"' in capsys.readouterr().out
    assert engine.execute("EXISTS", "a") == 0


def test_what_libraries_say_in_a_dry_run_stands_below_the_cell(
    shell: Any, redis: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell_magic(
        "tfunction",
        "",
        lib(
            """redis.registerKeySpaceTrigger('bad', 'k', () => {
    redis.log('here');
    throw new TypeError('boom');
});""",
            "other",
        ),
    )
    shell.run_cell("pass")
    capsys.readouterr()
    shell.run_cell("%redis --dry-run SET k v")
    shown = capsys.readouterr().out
    assert "dry run: log  other: here" in shown
    assert "dry run: trigger other.bad failed on set k: TypeError: boom" in shown
    shell.run_cell("pass")
    assert "dry run" not in capsys.readouterr().out


# -- %tf


def test_a_trace_over_several_cells(
    engine: trignb.Engine, redis: Any, tf: Callable[[str], Any]
) -> None:
    assert tf("trace on") is None
    redis("SET a 1")
    assert "notebook> SET a 1 → OK" in repr(tf("trace"))
    redis("", "SET b 1\nSET c 1")
    trace = tf("trace off")
    redis("SET d 1")
    assert isinstance(trace, Trace)
    assert trace.keys() == ["a", "b", "c"]
    assert not engine.core.tracing.is_armed
    assert tf("trace") is trace
    assert list(tf("trace --df").columns) == list(trace.df().columns)


def test_the_trace_of_a_cell_can_be_had_again(redis: Any, tf: Any) -> None:
    replies = redis("--trace --quiet", "SET a 1")
    assert replies is None
    assert tf("trace").keys() == ["a"]


def test_traces_that_are_not_there(tf: Callable[[str], Any]) -> None:
    with pytest.raises(UsageError, match="nothing was traced") as caught:
        tf("trace")
    assert "%tf trace on" in str(caught.value.hint)
    with pytest.raises(UsageError, match="takes on or off"):
        tf("trace of")


def test_the_trace_ends_with_its_engine(
    magics: Any, tf: Callable[[str], Any], engine: trignb.Engine
) -> None:
    tf("trace on")
    trace = magics.workbench.bench().trace
    magics.workbench.close("default")
    assert not trace.is_open
    assert not engine.core.tracing.is_armed


def test_explain(redis: Any, tf: Callable[[str], Any]) -> None:
    redis("HSET user:1 name tom")
    assert repr(tf("explain user:1")) == text(
        "notebook> HSET user:1 name tom",
        "└─ event hset user:1",
        "   └─ trigger audit.stamp: ok",
        "      └─ hset user:1 seen 1",
        "         └─ event hset user:1",
    )


def test_explain_in_another_database_and_of_any_key(redis: Any, tf: Any) -> None:
    redis(r'-n 2 SET "\xff k" v')
    assert tf(r'explain "\xff k" --db 2').is_known
    assert not tf(r'explain "\xff k"').is_known
    with pytest.raises(UsageError, match="--db: db is 0 to 15"):
        tf("explain k --db 99")
    with pytest.raises(UsageError, match="takes a key"):
        tf("explain")
