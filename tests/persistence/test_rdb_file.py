"""RDB files as bytes: what is read, what is left out, what is refused."""

from __future__ import annotations

import io
import logging

import pytest

from trignb.datatypes import Hash, HashLimits
from trignb.datatypes.crc64 import crc64
from trignb.datatypes.rdb import DEFAULTS, Writer
from trignb.errors import RdbError
from trignb.persistence.rdb_file import Contents, RdbWriter, read_rdb

CONFIG = DEFAULTS | {"rdbchecksum": True}
MODULE_ID = 0x1D_A5_E1_4C_30_9B_48_01


def sealed(body: bytes, version: int = 10) -> bytes:
    """Return a file of opcodes, with header, end and checksum."""
    data = b"REDIS%04d" % version + body + b"\xff"
    return data + (crc64(data).to_bytes(8, "little") if version >= 5 else b"")


def read(data: bytes, **options) -> Contents:
    return read_rdb(data, CONFIG, **options)


def text(*words: bytes) -> bytes:
    out = Writer(compress=False)
    for word in words:
        out.string(word)
    return bytes(out)


KEY = b"\0" + text(b"k", b"v")


def test_a_file_comes_back():
    fields = Hash()
    fields.fill([b"f", b"v"], HashLimits())
    file = io.BytesIO()
    with RdbWriter(file, CONFIG) as out:
        out.aux(b"redis-ver", b"7.2.6")
        out.function(b"#!lua name=a\n")
        out.database(0, 2, 1)
        out.key(b"k", b"v", 5000)
        out.key(b"h", fields, None, 7, 8)
        out.database(9, 1, 0)
        out.key(b"far", bytearray(b"x" * 300_000))
        out.key(b"after", b"1")
    contents = read(file.getvalue())
    assert contents.version == 11
    assert contents.aux == {b"redis-ver": b"7.2.6"}
    assert contents.functions == [b"#!lua name=a\n"]
    zero, nine = contents.databases[0], contents.databases[9]
    assert zero.data == {b"k": b"v", b"h": fields}
    assert (zero.deadlines, zero.idle_s, zero.frequency) == (
        {b"k": 5000},
        {b"h": 7},
        {b"h": 8},
    )
    assert nine.data == {b"far": b"x" * 300_000, b"after": b"1"}
    assert contents.size == len(file.getvalue())


def test_keys_whose_time_is_over_are_left_out_if_there_is_a_time():
    body = b"\xfc" + (1000).to_bytes(8, "little") + KEY
    body += b"\xfd" + (2).to_bytes(4, "little") + b"\0" + text(b"later", b"v")
    assert read(sealed(body)).databases[0].deadlines == {b"k": 1000, b"later": 2000}
    contents = read(sealed(body), now_ms=1500)
    assert contents.databases[0].data == {b"later": b"v"}
    assert contents.expired == 1
    assert read(sealed(body), now_ms=1000).expired == 0


def test_what_was_said_of_one_key_is_not_said_of_the_next():
    body = b"\xf8\x05\xf9\x07" + KEY + b"\0" + text(b"next", b"v")
    keys = read(sealed(body)).databases[0]
    assert (keys.idle_s, keys.frequency) == ({b"k": 5}, {b"k": 7})


def test_libraries_of_the_release_candidates():
    body = b"\xf6" + text(b"lib", b"LUA") + b"\x01" + text(b"about", b"code")
    body += b"\xf6" + text(b"lib2", b"LUA") + b"\x00" + text(b"code")
    assert read(sealed(body)).functions == [
        b"#!lua name=lib\ncode",
        b"#!lua name=lib2\ncode",
    ]


def module_data() -> bytes:
    out = Writer(compress=False)
    out.length(MODULE_ID)
    elements = b"\x01\x05\x02\x06\x03abcd\x04abcdefgh\x05" + text(b"text") + b"\0"
    return bytes(out) + elements


def test_modules_are_left_out_with_a_warning(caplog):
    out = module_data()
    aux = b"\xf7" + out[:9] + b"\x02\x02" + out[9:]
    value = b"\x07" + text(b"json") + out
    with caplog.at_level(logging.WARNING):
        keys = read(sealed(aux + value + KEY)).databases[0]
    assert keys.data == {b"k": b"v"}
    name = "HaXhTDCbS"
    assert caplog.messages == [
        f"data of the module {name} is left out: modules are not loaded",
        f"the key b'json' is left out: its type belongs to the module {name}",
    ]


def test_collections_without_elements_are_left_out(caplog):
    empty = b"".join(
        bytes([kind]) + text(b"k%d" % kind) + b"\0" for kind in (1, 2, 4, 5)
    )
    assert read(sealed(empty + KEY)).databases[0].data == {b"k": b"v"}
    assert len(caplog.messages) == 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an RDB file"),
        (b"REDIS", "not an RDB file"),
        (b"GIF89a" + bytes(20), "not an RDB file"),
        (b"REDISabcd\xff", "not an RDB file"),
        (sealed(b"", 12), "RDB version 12 is not supported, 1 to 11 are"),
        (sealed(KEY)[:-9], "is damaged or cut off at byte 14 of 14"),
        (sealed(KEY)[:-1], "is damaged or cut off"),
        (sealed(KEY)[:-8] + b"\1" * 8, "its checksum is wrong"),
        (sealed(KEY + KEY), "the key b'k' is there twice"),
        (sealed(b"\x63" + text(b"k")), "the value of b'k' has the unknown type 99"),
        (sealed(b"\x06" + text(b"k")), "the value of b'k' has the unknown type 6"),
        (sealed(b"\x0b" + text(b"k", b"abc")), "too short"),
        (sealed(b"\x0f" + text(b"k") + b"\x01" + text(b"id")), "is not an id"),
        (sealed(b"\xf7\x01\x02\x02\x09"), "unknown element"),
    ],
)  # fmt: skip
def test_refused(data, reason):
    with pytest.raises(RdbError, match=reason):
        read(data)


def test_a_checksum_of_zero_is_none():
    assert read(sealed(KEY)[:-8] + bytes(8)).databases[0].data
    unchecked = read_rdb(sealed(KEY)[:-8] + b"\1" * 8, CONFIG | {"rdbchecksum": False})
    assert unchecked.databases[0].data
    file = io.BytesIO()
    with RdbWriter(file, CONFIG | {"rdbchecksum": False}) as out:
        out.database(0, 1, 0)
        out.key(b"k", b"v")
    assert file.getvalue().endswith(b"\xff" + bytes(8))


def test_before_version_5_there_was_none():
    assert read(sealed(KEY, 4)).databases[0].data == {b"k": b"v"}


def test_what_follows_the_file_is_left_alone():
    data = sealed(KEY)
    assert read(data + b"*1\r\n$4\r\nPING\r\n").size == len(data)


def test_damage_anywhere_is_noticed():
    data = sealed(b"\xfa" + text(b"a", b"b") + b"\xfe\0\xfb\x01\0" + KEY)
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(RdbError):
            read(damaged)


def test_progress_is_told():
    big = sealed(b"".join(b"\0" + text(b"k%d" % i, b"x" * 60_000) for i in range(60)))
    told: list[tuple[int, int]] = []
    read(big, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(big), len(big))
    assert len(told) == 4
    assert [done for done, _ in told] == sorted(done for done, _ in told)
