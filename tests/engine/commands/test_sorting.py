"""SORT: every order, by itself and by other keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trignb

NO_DOUBLE = "ERR One or more scores can't be converted into double"


def run(engine, *commands):
    return [engine.execute(*command.split(" ")) for command in commands][-1]


def refusal(engine, command):
    with pytest.raises(trignb.ResponseError) as error:
        run(engine, command)
    return str(error.value)


@pytest.fixture
def filled(engine):
    run(engine, "RPUSH l 3 10 1 -2.5 2")
    return engine


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ("", "-2.5 1 2 3 10"),
        ("ASC", "-2.5 1 2 3 10"),
        ("DESC", "10 3 2 1 -2.5"),
        ("DESC ASC", "-2.5 1 2 3 10"),
        ("ALPHA", "-2.5 1 10 2 3"),
        ("ALPHA DESC", "3 2 10 1 -2.5"),
        ("LIMIT 1 2", "1 2"),
        ("LIMIT -5 2", "-2.5 1"),
        ("LIMIT 3 -1", "3 10"),
        ("LIMIT 4 99", "10"),
        ("LIMIT 9 1", ""),
        ("LIMIT 0 0", ""),
        ("DESC LIMIT 0 1", "10"),
        ("BY nosort", "3 10 1 -2.5 2"),
        ("BY nosort DESC", "2 -2.5 1 10 3"),
        ("BY nosort LIMIT 1 2", "10 1"),
        ("BY nosort DESC LIMIT 1 2", "-2.5 1"),
        # Once constant, always constant.
        ("BY nosort BY w_*", "3 10 1 -2.5 2"),
        ("GET # GET #", "-2.5 -2.5 1 1 2 2 3 3 10 10"),
    ],
)
def test_orders(filled, options, result):
    command = f"SORT l {options}".strip()
    assert run(filled, command) == result.encode().split()


@pytest.mark.parametrize(
    "fill", ["SADD k 3 1 2", "RPUSH k 3 1 2", "ZADD k 5 3 9 1 0 2"]
)
def test_types(engine, fill):
    run(engine, fill)
    assert run(engine, "SORT k") == [b"1", b"2", b"3"]
    assert run(engine, "SORT_RO k DESC") == [b"3", b"2", b"1"]


def test_a_sorted_set_left_in_its_order(engine):
    run(engine, "ZADD z 5 c 9 a 0 b")
    assert run(engine, "SORT z BY x") == [b"b", b"c", b"a"]
    assert run(engine, "SORT z BY x DESC LIMIT 0 2") == [b"a", b"c"]


def test_a_set_is_put_in_order_before_it_is_stored(engine):
    run(engine, "SADD s 10 9 2", "SORT s BY x STORE d")
    assert run(engine, "LRANGE d 0 -1") == [b"10", b"2", b"9"]


def test_weights_and_values_in_other_keys(filled):
    run(filled, "MSET w_1 5 w_2 4 w_3 3 w_10 2", "MSET d_1 one d_10 ten")
    run(filled, "HSET h_1 f x", "HSET h_2 f y")
    # Without a weight it counts as 0.
    by_weight = run(filled, "SORT l BY w_*")
    assert by_weight == [b"-2.5", b"10", b"3", b"2", b"1"]
    assert run(filled, "SORT l BY w_* GET d_* GET #") == [
        *(None, b"-2.5", b"ten", b"10", None, b"3"),
        *(None, b"2", b"one", b"1"),
    ]
    assert run(filled, "SORT l LIMIT 1 2 GET h_*->f") == [b"x", b"y"]
    assert run(filled, "SORT l LIMIT 1 1 GET h_*->g GET h_* GET d_*->f GET none") == (
        [None] * 4
    )
    # An arrow with nothing behind it belongs to the key.
    run(filled, "SET h_1-> arrow")
    assert run(filled, "SORT l LIMIT 1 1 GET h_*->") == [b"arrow"]


def test_equal_weights_leave_it_to_the_elements(engine):
    run(engine, "RPUSH k b a c", "MSET w_a 1 w_b 1 w_c 1")
    assert run(engine, "SORT k BY w_*") == [b"a", b"b", b"c"]
    assert run(engine, "SORT k BY w_* DESC") == [b"c", b"b", b"a"]
    # By text they stay where they were, those without one first.
    assert run(engine, "SORT k BY w_* ALPHA") == [b"b", b"a", b"c"]
    run(engine, "DEL w_c")
    assert run(engine, "SORT k BY w_* ALPHA") == [b"c", b"b", b"a"]


def test_store(engine):
    run(engine, "RPUSH k 2 1", "SET d x", "EXPIRE d 100")
    assert run(engine, "SORT k STORE d GET # GET none") == 4
    assert run(engine, "LRANGE d 0 -1") == [b"1", b"", b"2", b""]
    assert run(engine, "TTL d") == -1
    assert run(engine, "SORT k STORE k DESC") == 2
    assert run(engine, "LRANGE k 0 -1") == [b"2", b"1"]
    assert run(engine, "SORT none STORE d") == 0
    assert run(engine, "EXISTS d") == 0
    assert run(engine, "SORT none STORE d") == 0


def test_a_stored_list_has_the_encoding_of_its_size(engine):
    engine.execute("RPUSH", "k", *["x" * 80] * 100)
    engine.execute("SORT", "k", "ALPHA", "STORE", "d")
    assert run(engine, "OBJECT ENCODING d") == b"quicklist"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("SORT l FOO", "ERR syntax error"),
        ("SORT l LIMIT 1", "ERR syntax error"),
        ("SORT l BY", "ERR syntax error"),
        ("SORT l GET", "ERR syntax error"),
        ("SORT l STORE", "ERR syntax error"),
        ("SORT_RO l STORE d", "ERR syntax error"),
        ("SORT l LIMIT a 1", "ERR value is not an integer or out of range"),
        (
            "SORT s",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("SORT s FOO", "ERR syntax error"),
        ("SORT words", NO_DOUBLE),
        ("SORT words STORE d", NO_DOUBLE),
        ("SORT words LIMIT 0 1", NO_DOUBLE),
        ("SORT l BY w_*", NO_DOUBLE),
    ],
)
def test_errors(filled, command, error):
    run(filled, "SET s v", "RPUSH words 1 a", "SET w_10 ten")
    assert refusal(filled, command) == error
    assert run(filled, "EXISTS d") == 0


@pytest.mark.parametrize(
    ("text", "is_number"),
    [
        (b"", True),
        (b" 7", True),
        (b"\t\n7", True),
        (b"7 ", False),
        (b" ", False),
        (b"+1.5e3", True),
        (b"1e", False),
        (b".5", True),
        (b"5.", True),
        (b".", False),
        (b"0x1F", True),
        (b"0x", False),
        (b"0x.8p1", True),
        (b"inf", True),
        (b"-Infinity", True),
        (b"nan", False),
        (b"1e400", False),
        (b"1e-400", False),
        (b"0e-400", True),
        (b"0x1p9999", False),
        (b"1_0", False),
        (b"7\0x", True),
        (b"\0x", True),
        (b"--1", False),
    ],
)
def test_what_counts_as_a_number(engine, text, is_number):
    engine.execute("RPUSH", "k", text)
    if is_number:
        assert run(engine, "SORT k") == [text]
    else:
        assert refusal(engine, "SORT k") == NO_DOUBLE


@given(st.lists(st.integers(-99, 99), max_size=20), st.booleans())
def test_numbers_against_sorted(numbers, descending):
    with trignb.Engine() as engine:
        if numbers:
            engine.execute("RPUSH", "k", *numbers)
        result = engine.execute("SORT", "k", "DESC" if descending else "ASC")
        expected = sorted(numbers, reverse=descending)
        assert [int(n) for n in result] == expected
