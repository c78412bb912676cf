"""Keyspace and stream triggers: the data they get, shared and not."""

from __future__ import annotations

import pytest

from trignb.js.runtime import Job, JsError, StreamRecord, TriggerData

SHOW = """
const bytes = (b) => new Uint8Array(b).join();
const show = (d) => [Object.keys(d).join(), d.event, d.key, bytes(d.key_raw)];
"""


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"user:1", b"user:1"),
        (b"", b""),
        ("é😀".encode(), "é😀".encode()),
        (b"\xff\x00a", None),
    ],
)
@pytest.mark.parametrize("kind", ["", "async "])
@pytest.mark.parametrize("fired", [False, True])
def test_data(load, host, key, text, kind, fired):
    options = "{onTriggerFired: () => 1}" if fired else "{}"
    call = "client.block(c => c.call('set', 'seen', seen))" if kind else ""
    library = load(
        f"""{SHOW}
        redis.registerKeySpaceTrigger('t', '', {kind}(client, data) => {{
            const seen = JSON.stringify(show(data));
            {call or "client.call('set', 'seen', seen)"};
        }}, {options});"""
    )
    job = library.trigger("t", "hset", key)
    if kind:
        job.result(5)
    else:
        assert job is None
    shown = "null" if text is None else f'"{text.decode()}"'
    raw = ",".join(map(str, key))
    expected = f'["event,key,key_raw","hset",{shown},"{raw}"]'
    assert host.data[b"seen"] == expected.encode()


@pytest.mark.parametrize("kind", ["", "async "])
def test_data_is_one_live_object(load, host, kind):
    library = load(
        f"""let first;
        redis.registerKeySpaceTrigger('t', '', {kind}(client, data) => {{
            if (data !== first || data.later() !== 'called') throw 'not the same';
        }}, {{onTriggerFired: (client, data) => {{
            first = data; data.later = () => 'called';
        }}}});"""
    )
    for _ in range(3):
        job = library.trigger("t", "set", b"k")
        if kind:
            job.result(5)


def test_data_of_several_events(load, host):
    library = load(
        """redis.registerKeySpaceTrigger('t', '', (client, data) => {
            client.call('set', data.key, data.name);
        }, {onTriggerFired: (client, data) => {
            data.name = client.call('get', 'name');
        }});"""
    )
    runtime, each, section = library.runtime, library["t"], library.section
    saved = []
    for i in range(5):
        host.data[b"name"] = b"name%d" % i
        saved.append(runtime.fire(each.on_fired, section, "hset", b"k%d" % i, 500))
    for i in reversed(range(5)):
        key = b"k%d" % i
        runtime.run_trigger(each.callback, section, "hset", key, 500, saved[i])
        assert host.data[key] == b"name%d" % i


def test_data_is_consumed(load, host):
    library = load(
        """redis.registerKeySpaceTrigger('t', '', (client, data) => {
            client.call('set', 'seen', String(data));
        }, {onTriggerFired: () => 1});"""
    )
    runtime, each, section = library.runtime, library["t"], library.section
    data = runtime.fire(each.on_fired, section, "set", b"k", 500)
    runtime.drop_data(data)
    runtime.run_trigger(each.callback, section, "set", b"k", 500)
    assert host.data[b"seen"] == b"[object Object]"


def test_data_of_an_isolate_that_is_gone(load, host):
    library = load(
        """redis.registerKeySpaceTrigger('t', '', (client, data) => {
            client.call('set', 'seen', data.key);
        }, {onTriggerFired: () => 1});"""
    )
    each, section = library["t"], library.section
    stranger = TriggerData(9 << 32 | 1)
    library.runtime.drop_data(stranger)
    library.runtime.run_trigger(each.callback, section, "set", b"k", 500, stranger)
    assert host.data[b"seen"] == b"k"


def test_fired_that_throws(load):
    library = load(
        """redis.registerKeySpaceTrigger('t', '', () => 1, {onTriggerFired: () => {
            throw new Error('no')
        }});"""
    )
    with pytest.raises(JsError, match="^Error: no$") as caught:
        library.trigger("t", "set", b"k")
    assert caught.value.line == 3


def test_fired_results_do_not_matter(load, host):
    library = load(
        """redis.registerKeySpaceTrigger('t', '', (c) => c.call('incr', 'n'),
            {onTriggerFired: () => Promise.reject(new Error('ignored'))});"""
    )
    assert library.trigger("t", "set", b"k") is None
    assert host.data[b"n"] == 1


@pytest.mark.parametrize(
    "result", ["1", "Symbol()", "{a: [() => 1]}", "(async () => 1)()"]
)
def test_trigger_results_do_not_matter(load, result):
    library = load(f"redis.registerKeySpaceTrigger('t', '', () => ({result}));")
    assert library.trigger("t", "set", b"k") is None


def test_triggers_that_throw(load):
    library = load(
        """redis.registerKeySpaceTrigger('t', '', (c) => c.call('fail', 'ERR no'));
        redis.registerKeySpaceTrigger('u', '', (c) => Promise.reject('rejected'));"""
    )
    with pytest.raises(JsError, match="^ERR no$") as caught:
        library.trigger("t", "set", b"k")
    assert caught.value.line == 2
    with pytest.raises(JsError, match="^rejected$"):
        library.trigger("u", "set", b"k")


def test_triggers_with_pending_promises(load, host):
    library = load(
        """redis.registerKeySpaceTrigger('t', '', (c) => c.callAsync('wait'));
        redis.registerKeySpaceTrigger('u', '', async (c) => { throw new Error('no') });"""
    )
    job = library.trigger("t", "set", b"k")
    assert isinstance(job, Job)
    assert not job.done
    host.waiting.pop()(b"value")
    assert job.result(5) == b"value"
    with pytest.raises(JsError, match="^Error: no$"):
        library.trigger("u", "set", b"k").result(5)


def test_trigger_clients_are_fresh(load, host):
    library = load(
        """let saved;
        redis.registerKeySpaceTrigger('t', '', (client) => {
            let text = 'first';
            if (saved !== undefined) {
                try { saved.call('incr', 'n') } catch (e) { text = e }
            }
            saved = client;
            client.call('set', 'text', text);
        });"""
    )
    library.trigger("t", "set", b"k")
    assert host.data[b"text"] == b"first"
    library.trigger("t", "set", b"k")
    assert host.data[b"text"] == b"Used on invalid client"


RECORD = StreamRecord(
    b"s\xff", 1700000000000, 7, [(b"f", "é".encode()), (b"\xff", b"\x00")]
)


@pytest.mark.parametrize("kind", ["", "async "])
def test_records(load, host, kind):
    call = "client.block(c => c.call('set', 'seen', seen))" if kind else ""
    library = load(
        f"""{SHOW}
        redis.registerStreamTrigger('s', '', {kind}(client, data) => {{
            const seen = [Object.keys(data), data.id.map(x => typeof x + x),
                data.stream_name, bytes(data.stream_name_raw),
                JSON.stringify(data.record),
                data.record_raw.map(pair => pair.map(bytes).join('=')).join(';')
            ].join(' ');
            {call or "client.call('set', 'seen', seen)"};
        }});"""
    )
    each = library["s"]
    with host.lock:
        if kind:
            job = library.runtime.start_record(each.callback, "user", RECORD)
        else:
            job = library.runtime.run_record(
                each.callback, library.section, RECORD, 500
            )
    if kind:
        job.result(5)
    assert host.data[b"seen"].decode() == (
        "id,stream_name,stream_name_raw,record,record_raw "
        "bigint1700000000000,bigint7  115,255 "
        '[["f","é"],[null,null]] 102=195,169;255=0'
    ).replace("[null,null]", '[null,"\\u0000"]')
