"""Loading append-only files: whole ones, torn ones, damaged ones."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trignb
from persistence.aof_files import (
    LIBRARY,
    digest,
    engine_on,
    files,
    last_file,
    requests,
    run,
    write_files,
)
from trignb.persistence.aof_file import Damaged, Torn, read_commands
from trignb.persistence.aof_loading import AofLoader
from trignb.persistence.manifest import Manifest, Part

SELECT = requests("SELECT 0")
A, B = requests("SET a 1"), requests("SET b 2")
MULTI, EXEC = requests("MULTI"), requests("EXEC")
FIRST = "appendonly.aof.1.incr.aof"


def keys(directory, **config):
    """Return the keys that come back."""
    with engine_on(directory, **config) as engine:
        return sorted(run(engine, "KEYS *"))


def refusal(directory, **config):
    """Return why files are refused; they stay as they are."""
    before = files(directory)
    with pytest.raises(trignb.AofError) as caught:
        engine_on(directory, **config)
    assert files(directory) == before
    return str(caught.value)


# -- torn at the end


@pytest.mark.parametrize(
    ("data", "kept", "left"),
    [
        (SELECT + A + B[:-3], SELECT + A, [b"a"]),
        (SELECT + A + MULTI + B[:-3], SELECT + A, [b"a"]),
        (SELECT + A + MULTI + B, SELECT + A, [b"a"]),
        (SELECT + A + MULTI + B + EXEC[:-1], SELECT + A, [b"a"]),
        (SELECT + A + MULTI + B + EXEC, SELECT + A + MULTI + B + EXEC, [b"a", b"b"]),
        (SELECT[:5], b"", []),
        (SELECT + A + b"#trignb: x", SELECT + A, [b"a"]),
        (SELECT + A + b"#TS:1\r\n" + b"#T", SELECT + A + b"#TS:1\r\n", [b"a"]),
        (SELECT + A + b"#trignb+ x\r\n#trignb+ y\r\n", SELECT + A, [b"a"]),
        (SELECT + A + b"*2\r\n$3\r\nGET\r\n$99999999999\r\nx", SELECT + A, [b"a"]),
    ],
)
def test_a_torn_end_is_cut_off(tmp_path, data, kept, left, caplog):
    write_files(tmp_path, i1=data)
    assert keys(tmp_path) == left
    assert files(tmp_path)[FIRST] == kept
    if kept != data:
        assert (
            f"!!! Truncating the AOF {FIRST} at offset {len(kept)} !!!" in caplog.text
        )
        write_files(tmp_path, i1=data)
        text = refusal(tmp_path, aof_load_truncated=False)
        assert text.startswith(
            f"Unexpected end of file reading the append only file {FIRST}. You can: 1) "
        )


def test_what_is_written_after_a_torn_transaction_stays(tmp_path):
    # Redis 7.2 leaves the MULTI there, and all that comes after it is lost with the next start.
    write_files(tmp_path, i1=SELECT + A + MULTI + B[:-3])
    with engine_on(tmp_path) as engine:
        run(engine, "SET c 3")
    assert keys(tmp_path) == [b"a", b"c"]


def test_a_torn_file_that_is_not_the_last(tmp_path):
    write_files(tmp_path, i1=SELECT + A + B[:-3], i2=SELECT + B)
    assert refusal(tmp_path) == (
        f"Fatal error: the truncated file is not the last file ({FIRST}, at offset 50)"
    )
    write_files(tmp_path, i1=SELECT + A, i2=SELECT + B[:-3])
    assert keys(tmp_path) == [b"a"]
    assert files(tmp_path)["appendonly.aof.2.incr.aof"] == SELECT


# -- damaged


BAD = (
    f"Bad file format reading the append only file {FIRST}: make a backup of your AOF "
    "file, then use ./redis-check-aof --fix <filename.manifest> (at offset {})"
)


@pytest.mark.parametrize(
    ("damage", "at"),
    [
        (b"xyz\r\n", 0),
        (b"*0\r\n", 0),
        (b"*z\r\n", 0),
        (b"*-1\r\n", 0),
        (b"*2\r\n:3\r\nabc\r\n", 4),
        (b"*2\r\n$-1\r\n", 4),
        (b"*1\r\n$4\r\nPINGxx", 12),
        (b"SET c 3\r\n", 0),
        (b"#" + b"x" * 1100 + b"\r\n", 0),
        (b"#trignb: 'x\r\n", 0),
        (b"#trignb+ x\r\n", 12),
    ],
)
def test_damage_in_the_middle_is_refused(tmp_path, damage, at):
    write_files(tmp_path, i1=SELECT + A + damage + B)
    assert refusal(tmp_path) == BAD.replace("{}", str(50 + at))


def test_commands_that_are_refused(tmp_path):
    write_files(tmp_path, i1=SELECT + A + requests("FOO bar") + B)
    assert refusal(tmp_path) == (
        f"Unknown command 'FOO' reading the append only file {FIRST} (at offset 50)"
    )
    write_files(tmp_path, i1=SELECT + A + requests("SET a") + B)
    assert refusal(tmp_path).startswith("ERR wrong number of arguments for 'set'")
    write_files(tmp_path, i1=requests("SELECT 99") + A)
    assert refusal(tmp_path) == f"ERR DB index is out of range (AOF file {FIRST})"
    write_files(tmp_path, i1=SELECT + b"#trignb: _rg_internals.function load x\r\n")
    assert f"(AOF file {FIRST})" in refusal(tmp_path)
    write_files(tmp_path, i1=SELECT + b"#trignb: trignb-libraries {}\r\n")
    assert "a JavaScript library cannot be loaded" in refusal(tmp_path)


def test_errors_that_redis_goes_on_after(tmp_path, caplog):
    texts = ("LPUSH a x", "EXEC", "MULTI", "MULTI", "SET c 3", "EXEC", "BLPOP x 0")
    write_files(tmp_path, i1=SELECT + A + requests(*texts) + B)
    assert keys(tmp_path) == [b"a", b"b", b"c"]
    assert [r.args[0] for r in caplog.records if "CRITICAL" in r.msg] == [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "EXEC without MULTI",
        "MULTI calls can not be nested",
    ]


def test_files_that_are_not_there(tmp_path):
    write_files(tmp_path, i1=SELECT + A, i2=b"")
    (tmp_path / "appendonlydir" / "appendonly.aof.2.incr.aof").unlink()
    assert refusal(tmp_path) == (
        "Unable to obtain the AOF file appendonly.aof.2.incr.aof length. "
        "stat: No such file or directory"
    )


def test_a_damaged_base(tmp_path):
    with engine_on(tmp_path) as engine:
        run(engine, "SET a 1")
        run(engine, "BGREWRITEAOF")
        engine.aof.rewriter.wait()
    path = tmp_path / "appendonlydir" / "appendonly.aof.2.base.rdb"
    path.write_bytes(path.read_bytes()[:-9])
    assert refusal(tmp_path).startswith(
        "Short read or OOM loading DB. Unrecoverable error, aborting now. "
    )


# -- what comes before the last file


def test_a_base_of_commands(tmp_path):
    write_files(tmp_path, b1=SELECT + A, i1=SELECT + B)
    assert keys(tmp_path) == [b"a", b"b"]


def test_the_one_file_of_redis_6(tmp_path):
    with trignb.Engine() as engine:
        run(engine, "SET k v")
        engine.save(tmp_path / "appendonly.aof")
    with open(tmp_path / "appendonly.aof", "ab") as file:
        file.write(SELECT + A)
    assert keys(tmp_path) == [b"a", b"k"]
    assert not (tmp_path / "appendonly.aof").exists()
    assert files(tmp_path)["appendonly.aof.manifest"] == (
        b"file appendonly.aof seq 1 type b\n"
        b"file appendonly.aof.1.incr.aof seq 1 type i\n"
    )
    assert keys(tmp_path) == [b"a", b"k"]


def test_deadlines_that_have_passed_meanwhile(tmp_path):
    texts = ("SET k v PXAT 1", "APPEND k w", "PERSIST k", "SET gone v PXAT 1")
    write_files(tmp_path, i1=SELECT + requests(*texts))
    with engine_on(tmp_path) as engine:
        assert run(engine, "GET k") == b"vw"
        assert run(engine, "GET gone") is None


def test_no_dump_beside_it(tmp_path):
    with trignb.Engine(dir=str(tmp_path)) as engine:
        run(engine, "SET k v")
        run(engine, "SAVE")
    assert keys(tmp_path) == []


# -- at every byte


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file with all there is in one, and what holds after each whole unit."""
    directory = tmp_path_factory.mktemp("written")
    with engine_on(directory, aof_timestamp_enabled=True) as engine:
        engine.load(LIBRARY)
        states = [(last_file(directory).stat().st_size, digest(engine))]
        for line in (
            "SET user:1 tom",
            "XADD log 5-1 f v",
            "HSET user:2 a b c d",
            "MULTI;SET x 1;SELECT 3;INCR y;SELECT 0;EXEC",
            "XADD log 6-1 f v g w",
            "DEL user:1",
        ):
            for text in line.split(";"):
                run(engine, text)
            states.append((last_file(directory).stat().st_size, digest(engine)))
    return last_file(directory).read_bytes(), states


def loaded(target, data):
    """Load some bytes; returns the digest and the bytes that stayed."""
    write_files(target, i1=data)
    with engine_on(target) as engine:
        return digest(engine), files(target)[FIRST]


def holds_at(written, size):
    """Return where the last unit within `size` bytes ends, and the digest then."""
    reached = [state for state in written[1] if state[0] <= size]
    return reached[-1] if reached else (0, "0" * 40)


def test_cut_off_at_every_byte_of_some_units(written, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    data, states = written
    # A trigger's and a stream trigger's, which has an annotation in it. Without the library,
    # which takes its time and does nothing here.
    start = states[0][0]
    with trignb.Engine(enable_debug_command="yes") as engine:
        for size in range(start, states[2][0] + 1):
            write_files(tmp_path, i1=data[start:size])
            # One engine for all: a new one takes longer than the file.
            directory = str(tmp_path / "appendonlydir")
            loader = AofLoader(engine.core, engine.lua_libraries, directory)
            with engine.core.lock:
                loader.load(Manifest(increments=(Part(FIRST, 1),)))
            end, expected = holds_at(written, size)
            assert digest(engine) == expected, size
            assert files(tmp_path)[FIRST] == data[start:end]


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_cut_off_anywhere(written, tmp_path_factory, data):
    everything = written[0]
    size = data.draw(st.integers(0, len(everything)))
    found, kept = loaded(tmp_path_factory.mktemp("torn"), everything[:size])
    assert found == holds_at(written, size)[1]
    assert everything.startswith(kept)


@given(st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=4), max_size=4))
def test_reading_stops_at_every_byte(commands):
    from trignb.persistence.annotations import annotate
    from trignb.resp.propagated import encode_request

    pieces = [
        annotate(args) if i % 2 else encode_request(args)
        for i, args in enumerate(commands)
    ]
    data = b"".join(pieces)
    ends = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
    for size in range(len(data) + 1):
        found = []
        try:
            for args, _, end in read_commands(data[:size]):
                found.append(args)
                assert end in ends
        except Torn:
            assert size not in [0, *ends]
        else:
            assert size in [0, *ends]
        assert found == commands[: len([end for end in ends if end <= size])]


@given(st.binary(max_size=60))
def test_nonsense_is_torn_or_damaged(data):
    try:
        for args, start, end in read_commands(data):
            assert start < end <= len(data)
            assert all(isinstance(arg, bytes) for arg in args)
    except Torn:
        pass
    except Damaged as damaged:
        place = damaged.offset
        assert 0 <= place <= len(data)
