"""Commands that run JavaScript of the same library again."""

from __future__ import annotations

import pytest

from js.fakes import Section
from trignb.errors import ResponseError
from trignb.js.runtime import JsError, JsTerminated, JsTimeout

CODE = """
redis.registerFunction('down', (c, n) => {
    const before = c.call('incr', 'deep');
    const inner = n === '0' ? 'end' : c.call('down', String(n - 1));
    return [before, c.call('echo', 'long'.repeat(50)), inner];
});
redis.registerFunction('throws', () => { throw new Error('inner') });
redis.registerFunction('calls', (c, name) => c.call(name));
redis.registerFunction('catches', (c, name) => {
    try { return c.call(name) } catch (e) { return ['caught', e] }
});
redis.registerFunction('loops', () => { while (true); });
redis.registerFunction('promises', () => Promise.resolve(1));
"""


@pytest.fixture
def library(load, host):
    library = load(CODE)

    def nested(name, *args):
        try:
            return library.call(name, *args)
        except JsError as error:
            raise ResponseError(str(error)) from None

    for name in ("down", "throws", "loops", "promises"):
        host.commands[name.encode()] = lambda *args, name=name: nested(name, *args)
    return library


@pytest.mark.parametrize("depth", [0, 1, 2, 40])
def test_depth(library, host, depth):
    reply = library.call("down", b"%d" % depth)
    for level in range(depth + 1):
        before, echoed, reply = reply
        assert before == level + 1
        assert echoed == [b"long" * 50]
    assert reply == b"end"
    assert host.data[b"deep"] == depth + 1


def test_inner_errors(library):
    with pytest.raises(JsError, match="^Error: inner$"):
        library.call("calls", b"throws")
    assert library.call("catches", b"throws") == [b"caught", b"Error: inner"]


def test_inner_sections(library, host):
    outer, inner = Section("outer", True), Section("inner", False)

    def nested(*args):
        library.section = inner
        library.call("down", b"0")
        library.section = outer
        return 1

    host.commands[b"nested"] = nested
    library.section = outer
    library.call("calls", b"nested")
    origins = [section.origin for section, _ in host.calls]
    assert origins == ["outer", "inner", "inner"]


def test_a_termination_takes_the_outer_runs_along(library):
    library.timeout_ms = 200
    with pytest.raises(JsTimeout):
        library.call("calls", b"loops")
    assert library.call("down", b"1")


def test_a_termination_that_the_host_swallows(library, host):
    def swallow():
        try:
            library.call("loops")
        except JsTerminated:
            return b"swallowed"

    host.commands[b"swallow"] = swallow
    library.timeout_ms = 200
    with pytest.raises(JsTerminated, match="^Err Execution was terminated"):
        library.call("catches", b"swallow")
    assert library.call("down", b"1")


def test_outer_clients_are_not_for_inner_runs(load, host):
    library = load(
        """let saved;
        redis.registerFunction('outer', (c) => { saved = c; return c.call('inner') });
        redis.registerFunction('inner', () => {
            try { return saved.call('incr', 'x') } catch (e) { return e }
        });"""
    )
    host.commands[b"inner"] = lambda: library.call("inner")
    assert library.call("outer") == b"Used on invalid client"


def test_promises_of_inner_runs_are_pending(library, host):
    jobs = []

    def nested():
        jobs.append(library.call("promises"))
        return 1

    host.commands[b"promises"] = nested
    assert library.call("calls", b"promises") == 1
    assert jobs[0].result(5) == 1


def test_two_libraries(load, host):
    first = load("redis.registerFunction('f', (c) => c.call('second'))")
    second = load("redis.registerFunction('f', (c) => c.call('third'))")
    third = load("redis.registerFunction('f', (c) => c.call('incr', 'n'))")
    host.commands[b"second"] = lambda: second.call("f")
    host.commands[b"third"] = lambda: third.call("f")
    assert [first.call("f") for _ in range(50)] == list(range(1, 51))


def test_logging_inside(library, host, load):
    other = load(
        """redis.registerFunction('f', (c) => {
            redis.log('before'); c.call('down', '1'); redis.log('after'); return 1
        })"""
    )
    assert other.call("f") == 1
    assert host.logs == ["before", "after"]
