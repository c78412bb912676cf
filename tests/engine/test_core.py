"""The unit of execution: order, propagation, what an interrupt or another thread may do to it."""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest

import trignb
from trignb.engine.core import NO_DB
from trignb.engine.events import ALL
from trignb.errors import EngineClosed, ResponseError


def sink_of(engine):
    batches = []
    engine.core.sinks.append(batches.append)
    engine.core.sinks_changed()
    return batches


def run_on_event(engine, work, key=b"k"):
    """Queue `work` for the end of the unit whenever `key` changes."""

    def hear(_db, _kind, _event, changed):
        if changed == key:
            engine.core.queue_job(work)

    engine.core.listen(hear, ALL, 0)


def refused(call, *args):
    with pytest.raises(ResponseError) as caught:
        call(*args)
    return str(caught.value)


# -- looking a command up


def test_names_in_any_case(engine):
    for name in ("GET", "get", "Get", "gEt"):
        assert engine.execute(name, "k") is None
    assert engine.execute("config", "GeT", "hz") == {b"hz": b"10"}


def test_unknown_commands(engine):
    assert refused(engine.execute, "nope", "a", "b") == (
        "ERR unknown command 'nope', with args beginning with: 'a' 'b' "
    )
    assert refused(engine.execute, "nope") == (
        "ERR unknown command 'nope', with args beginning with: "
    )
    long = refused(engine.execute, "x" * 300, "y" * 300, "z")
    assert (
        long
        == f"ERR unknown command '{'x' * 128}', with args beginning with: '{'y' * 128}' "
    )
    assert refused(engine.execute, "a\r\nb") == (
        "ERR unknown command 'a  b', with args beginning with: "
    )


def test_wrong_arity(engine):
    assert refused(engine.execute, "GET") == (
        "ERR wrong number of arguments for 'get' command"
    )
    assert refused(engine.execute, "CONFIG", "GET") == (
        "ERR wrong number of arguments for 'config|get' command"
    )
    assert refused(engine.execute, "CONFIG") == (
        "ERR wrong number of arguments for 'config' command"
    )
    assert refused(engine.execute, "config", "nope") == (
        "ERR unknown subcommand 'nope'. Try CONFIG HELP."
    )


# -- what is propagated


def test_one_effect_goes_bare_and_several_are_framed(engine):
    batches = sink_of(engine)
    engine.execute("SET", "k", "v")
    engine.execute("GET", "k")
    engine.execute("MULTI")
    engine.execute("SET", "k", "1")
    engine.execute("SELECT", 2)
    engine.execute("SET", "q", "2")
    engine.execute("EXEC")
    assert batches == [
        [(0, [b"SET", b"k", b"v"])],
        [
            (NO_DB, [b"MULTI"]),
            (0, [b"SET", b"k", b"1"]),
            (2, [b"SET", b"q", b"2"]),
            (NO_DB, [b"EXEC"]),
        ],
    ]


def test_a_transaction_of_one_change_goes_bare(engine):
    batches = sink_of(engine)
    for words in (["MULTI"], ["SET", "k", "v"], ["GET", "k"], ["EXEC"]):
        engine.execute(*words)
    assert batches == [[(0, [b"SET", b"k", b"v"])]]


def test_jobs_run_at_the_end_and_travel_with_the_unit(engine):
    batches = sink_of(engine)
    run_on_event(engine, lambda: engine.execute("INCR", "n"))
    replies = [engine.execute("MULTI"), engine.execute("SET", "k", "v")]
    replies += [engine.execute("GET", "n"), engine.execute("EXEC")]
    assert replies[-1] == ["OK", None]
    assert [args for _, args in batches[0]] == [
        [b"MULTI"],
        [b"SET", b"k", b"v"],
        [b"INCR", b"n"],
        [b"EXEC"],
    ]


def test_jobs_of_jobs_run_behind_them(engine):
    order = []

    def second():
        order.append("second")

    def first():
        engine.core.queue_job(second)
        order.append("first")

    run_on_event(engine, first)
    run_on_event(engine, lambda: order.append("other"))
    engine.execute("SET", "k", "v")
    assert order == ["first", "other", "second"]


def test_a_failed_command_still_runs_the_jobs_it_caused(engine):
    ran = []
    run_on_event(engine, lambda: ran.append(1))
    engine.core.table[b"ECHO"].handler = fails_after_a_change
    assert refused(engine.execute, "ECHO", "x") == "ERR after all"
    assert ran == [1]
    assert engine.core.nesting == 0


def fails_after_a_change(s, args):
    s.core.call(s, s.core.table[b"SET"], [b"SET", b"k", b"v"])
    raise ResponseError("ERR after all")


def test_what_is_propagated_instead_is_forgotten_where_nobody_takes_it(engine):
    engine.execute("PUBLISH", "c", "m")
    batches = sink_of(engine)
    engine.execute("SET", "k", "v")
    assert batches == [[(0, [b"SET", b"k", b"v"])]]


# -- time


def test_the_clock_is_read_once_per_unit():
    with trignb.Engine() as engine:
        seen = []
        run_on_event(engine, lambda: seen.append(engine.core.now_ns()))
        engine.core.listen(lambda *_: seen.append(engine.core.now_ns()), ALL)
        engine.execute("SET", "k", "v")
        assert len(seen) == 2
        assert seen[0] == seen[1]


# -- the end


def test_a_closed_engine_refuses():
    engine = trignb.Engine()
    session = engine.session()
    engine.execute("SET", "k", "v")
    engine.close()
    engine.close()
    session.rearm()
    # Clients that come later hear it too, and so does a thread that was never here.
    for call in (engine.execute, session.execute, engine.session().execute):
        with pytest.raises(EngineClosed):
            call("GET", "k")
    unused = trignb.Engine()
    unused.close()
    with pytest.raises(EngineClosed):
        unused.execute("GET", "k")


# -- interrupts


class Struck(KeyboardInterrupt):
    """Tells our interrupt from a real one."""


def strike(at, call):
    """Run `call`, raising where CPython looks for signals for the `at`-th time in trignb.

    Those places are the beginnings of functions and the returns of C calls. Tells whether
    there was such a place.
    """
    seen = -1

    def profile(frame, event, _arg):
        nonlocal seen
        if event in ("call", "c_return") and "/trignb/" in frame.f_code.co_filename:
            seen += 1
            if seen == at:
                sys.setprofile(None)
                raise Struck

    sys.setprofile(profile)
    try:
        call()
    except (Struck, ResponseError):
        pass
    finally:
        sys.setprofile(None)
    return seen >= at


def lock_is_free(core):
    got = []

    def take():
        got.append(core.lock.acquire(timeout=5))
        if got[0]:
            core.lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return got[0]


def prepare_jobs(engine):
    sink_of(engine)
    run_on_event(engine, lambda: engine.execute("INCR", "n"))


def prepare_expired(engine):
    sink_of(engine)
    engine.core.active_expire = False
    engine.execute("SET", "k", "v", "PX", 5)
    engine.clock.advance(1)


def prepare_wrong_type(engine):
    engine.execute("LPUSH", "l", "x")


def prepare_observed(engine):
    engine.core.record_commands()
    sink_of(engine)


def prepare_tracking(engine):
    engine.execute("CLIENT", "TRACKING", "ON")
    engine.execute("GET", "k")


def prepare_transaction(engine):
    prepare_jobs(engine)
    for words in (["MULTI"], ["SET", "k", "1"], ["LPUSH", "k", "x"], ["INCR", "q"]):
        engine.execute(*words)


def prepare_nested(engine):
    sink_of(engine)

    def hear(_db, _kind, _event, key):
        if key == b"k":
            with pytest.raises(ResponseError):
                engine.execute("LPUSH", "k", "oops")
            engine.execute("SET", "inner", "1")

    engine.core.listen(hear, ALL, 0)


CASES = {
    "read": (None, ["GET", "k"]),
    "write": (sink_of, ["SET", "k", "v"]),
    "error reply": (prepare_wrong_type, ["GET", "l"]),
    "wrong arity": (None, ["GET"]),
    "unknown command": (None, ["NOPE"]),
    "jobs": (prepare_jobs, ["SET", "k", "v"]),
    "expired key": (prepare_expired, ["GET", "k"]),
    "observed": (prepare_observed, ["SET", "k", "v"]),
    "tracking": (prepare_tracking, ["SET", "k", "v"]),
    "transaction": (prepare_transaction, ["EXEC"]),
    "nested": (prepare_nested, ["SET", "k", "v"]),
    "blocking, served": (lambda e: e.execute("RPUSH", "l", "1"), ["BLPOP", "l", "0"]),
    "blocking, waits": (sink_of, ["BLPOP", "l", "0.001"]),
    "closed session": (lambda e: e.execute("QUIT"), ["GET", "k"]),
    "configuration": (None, ["CONFIG", "SET", "notify-keyspace-events", "KEA"]),
}


@pytest.mark.parametrize("case", CASES)
def test_an_interrupt_anywhere_leaves_unit_and_lock_right(case):
    prepare, words = CASES[case]
    at = 0
    while True:
        with trignb.Engine() as engine:
            if prepare is not None:
                prepare(engine)
            if not strike(at, lambda engine=engine: engine.execute(*words)):
                break
            core = engine.core
            assert core.nesting == 0
            assert not core.jobs
            assert not core.effects
            assert core.rewritten is None
            assert core.tracking.caller is None
            assert core.frame.origin == "client"
            assert not core.blocking.queues
            assert not core.blocking.sessions
            assert lock_is_free(core)
            assert engine.session().execute("SET", "after", "1") == "OK"
        at += 1
    assert at > 15


def test_an_interrupt_under_the_callers_own_lock(engine):
    at = 0
    while strike(at, lambda: under_own_lock(engine)):
        assert lock_is_free(engine.core)
        assert engine.core.nesting == 0
        at += 1


def under_own_lock(engine):
    with engine.core.lock:
        engine.execute("SET", "k", "v")


# A signal that comes in a finaliser is lost there, and the loop goes on without it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
def test_signals_at_random():
    hits = 0

    def on_signal(_number, _frame):
        raise Struck

    outer = signal.signal(signal.SIGVTALRM, on_signal)
    try:
        with trignb.Engine() as engine:
            prepare_jobs(engine)
            session = engine.session()
            # A busy machine deals processor time out sparingly: count strikes, not time.
            end = time.monotonic() + 20
            while hits < 200 and time.monotonic() < end:
                try:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 1e-4 * (1 + hits % 40))
                    for _ in range(5000):
                        engine.execute("SET", "k", "v")
                        session.execute("INCR", "q")
                        refused(engine.execute, "LPUSH", "k", "x")
                except Struck:
                    hits += 1
                finally:
                    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                assert engine.core.nesting == 0
                assert lock_is_free(engine.core)
    finally:
        signal.signal(signal.SIGVTALRM, outer)
    assert hits > 10


# -- threads


def test_eight_threads_lose_nothing():
    threads, rounds = 8, 400
    with trignb.Engine() as engine:
        run_on_event(engine, lambda: engine.execute("INCR", "jobs"), b"total")
        failures = []

        def work(number):
            try:
                for i in range(rounds):
                    engine.execute("INCR", "total")
                    engine.execute("SET", f"k{number}", i)
                    assert engine.execute("GET", f"k{number}") == str(i).encode()
                    engine.execute("MULTI")
                    engine.execute("INCR", "multi")
                    engine.execute("GET", "multi")
                    first, second = engine.execute("EXEC")
                    assert second == str(first).encode()
                    if i % 10 == 0:
                        refused(engine.execute, "LPUSH", "total", "x")
            except BaseException as error:
                failures.append(error)
                raise

        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert failures == []
        for counter in ("total", "multi", "jobs"):
            assert engine.execute("GET", counter) == str(threads * rounds).encode()
        assert engine.core.nesting == 0


def test_each_thread_is_a_client_of_its_own(engine):
    engine.execute("SELECT", 5)
    engine.execute("MULTI")
    seen = []

    def other():
        seen.append(engine.execute("CLIENT", "ID"))
        seen.append(engine.execute("SET", "k", "v"))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    engine.execute("DISCARD")
    assert seen[0] != engine.execute("CLIENT", "ID")
    assert seen[1] == "OK"
    assert engine.execute("EXISTS", "k") == 0
    engine.execute("SELECT", 0)
    assert engine.execute("GET", "k") == b"v"


def test_a_waiting_background_thread_gets_the_lock(engine):
    core, turns, stop = engine.core, [], threading.Event()

    def background():
        for _ in range(20):
            core.acquire_in_background()
            turns.append(core.nesting)
            core.lock.release()
        stop.set()

    thread = threading.Thread(target=background)
    thread.start()
    end = time.monotonic() + 20
    while not stop.is_set() and time.monotonic() < end:
        engine.execute("INCR", "n")
    thread.join()
    assert turns == [0] * 20


def test_a_sink_that_cannot_keep_its_promise_concerns_the_client(engine):
    heard = []

    def refuse(batch):
        heard.append("refused")
        raise trignb.ResponseError("MISCONF no room")

    engine.core.sinks += [refuse, heard.append]
    engine.core.sinks_changed()
    with pytest.raises(trignb.ResponseError, match="MISCONF no room"):
        engine.execute("SET", "k", "v")
    assert heard == ["refused", [(0, [b"SET", b"k", b"v"])]]
    assert engine.core.nesting == 0
    assert engine.execute("GET", "k") == b"v"
