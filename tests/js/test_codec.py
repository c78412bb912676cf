"""What crosses the channel arrives as it left, whatever it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from js.fakes import FakeHost, Library
from trignb.errors import ResponseError
from trignb.js.codec import (
    decode,
    encode,
    encode_flat,
    encode_pairs,
    encode_reply,
    flat_items,
    is_text,
)

TEXT = st.text(max_size=40).map(
    lambda s: s.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()
)
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, TEXT, st.floats(allow_nan=False)
)
# Names that are array indices come back as integers, so the keys here are not.
KEYS = TEXT.filter(lambda key: not key.isdigit())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(KEYS, inner, max_size=6),
        st.sets(st.one_of(INTEGERS, TEXT), max_size=6),
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def echo():
    host = FakeHost()
    library = Library(
        host,
        """
        redis.registerFunction('reply', (client) => client.call('reply', 'x'));
        redis.registerFunction('raw', (client) => client.callRaw('reply', 'x'));
        redis.registerFunction('args', (client, ...args) => args);
        redis.registerFunction('call', (client, ...args) => client.call('echo', ...args));
        """,
    )
    yield library
    library.runtime.dispose()


def same(got, sent):
    """Compare as JavaScript does: whole doubles are integers there."""
    if isinstance(sent, float) and math.isfinite(sent):
        return got == sent and (
            sent != 0 or math.copysign(1, got) == math.copysign(1, sent)
        )
    if isinstance(sent, list):
        return len(got) == len(sent) and all(map(same, got, sent))
    if isinstance(sent, dict):
        return got.keys() == sent.keys() and all(same(got[k], sent[k]) for k in sent)
    if isinstance(sent, set):
        return isinstance(got, set) and got == sent
    return type(got) is type(sent) and got == sent


FIXTURES = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FIXTURES
@given(value=VALUES)
def test_replies_round_trip(echo, value):
    echo.host.replies[b"x"] = value
    assert same(echo.call("reply"), value)


@FIXTURES
@given(value=st.recursive(st.binary(max_size=30), lambda x: st.lists(x, max_size=5)))
def test_raw_replies_round_trip(echo, value):
    echo.host.replies[b"x"] = value
    assert echo.call("raw") == value


@FIXTURES
@given(args=st.lists(TEXT, max_size=8))
def test_arguments_round_trip(echo, args):
    assert echo.call("args", *args) == args
    assert echo.call("call", *args) == args


@FIXTURES
@given(args=st.lists(st.binary(max_size=30), max_size=8))
def test_raw_arguments_round_trip(echo, args):
    assert echo.call("args", *args, raw=True) == args


@pytest.mark.parametrize("size", [0, 1, 1023, 2047, 2048, 4097, 1 << 20, (1 << 21) + 7])
@pytest.mark.parametrize("text", ["x", "é", "a😀"])
def test_long_texts(echo, size, text):
    value = (text * size)[:size].encode()
    echo.host.replies[b"x"] = value
    assert echo.call("reply") == value
    assert echo.call("raw") == value
    assert echo.call("call", value) == [value]


@pytest.mark.parametrize("count", [63, 64, 65, 3000, 3001, 10_000])
def test_many_arguments(echo, count):
    args = [b"%d" % i for i in range(count)]
    assert echo.call("args", *args) == args
    assert echo.call("call", *args) == args


@pytest.mark.parametrize(
    "args", [[], [b""], ["é".encode(), b"a", "😀".encode()], [b"x"] * 70]
)
def test_flat(args):
    assert flat_items(encode_flat(args), 0, len(args))[0] == args


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xff", "Could not decode value as string"),
        ([b"a", b"\xff"], "Could not decode value as string"),
        ({b"\xff": 1}, "Binary map key is not supported"),
        ({1.5: 1}, "Given object can not be a object key"),
        ([1, ResponseError("ERR inside")], "ERR inside"),
    ],
)
def test_refused(value, text):
    with pytest.raises(ResponseError) as caught:
        encode_reply(value, False)
    assert str(caught.value) == text


@given(st.lists(st.tuples(*[st.one_of(TEXT, st.binary(max_size=9))] * 2), max_size=4))
def test_pairs_are_written_as_what_they_are(pairs):
    """The quick way for records gives what the general one would be read as."""
    texts = [[each if is_text(each) else None for each in pair] for pair in pairs]
    data: list[bytes] = []
    encode_pairs(pairs, data)
    general: list[bytes] = []
    encode([list(pair) for pair in pairs], general, True)
    joined = b"".join(data)
    assert joined.endswith(b"".join(general))
    assert decode(joined)[0] == texts


def test_map_keys_are_text_even_when_raw():
    with pytest.raises(ResponseError, match="Binary map key is not supported"):
        encode_reply({b"\xff": b"\xff"}, True)


def test_what_is_not_a_reply():
    with pytest.raises(TypeError, match="not a reply: object"):
        encode_reply(object(), False)


def test_unknown_tag():
    with pytest.raises(ValueError, match="unknown tag"):
        decode(b"?\0\0\0\0")
