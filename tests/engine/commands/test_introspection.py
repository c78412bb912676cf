"""COMMAND: the table, as clients ask for it."""

from __future__ import annotations

import pytest

from trignb.engine.spec import FLAG_NAMES, command_facts
from trignb.errors import ResponseError
from trignb.reply import to_resp2


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


def test_a_commands_facts(engine):
    (info,) = engine.execute("COMMAND", "INFO", "get")
    assert info == [
        b"get",
        2,
        {"readonly", "fast"},
        1,
        1,
        1,
        {"@read", "@string", "@fast"},
        set(),
        [
            {
                b"flags": {"RO", "access"},
                b"begin_search": {b"type": b"index", b"spec": {b"index": 1}},
                b"find_keys": {
                    b"type": b"range",
                    b"spec": {b"lastkey": 0, b"keystep": 1, b"limit": 0},
                },
            }
        ],
        [],
    ]
    assert to_resp2(info)[2] == ["readonly", "fast"]
    assert to_resp2(info)[6] == ["@read", "@string", "@fast"]


def test_subcommands_stand_below_their_container(engine):
    (info,) = engine.execute("COMMAND", "INFO", "CONFIG")
    assert (info[0], info[1]) == (b"config", -2)
    assert [sub[0] for sub in info[-1]] == [
        b"config|get",
        b"config|help",
        b"config|resetstat",
        b"config|rewrite",
        b"config|set",
    ]


def test_by_name(engine):
    replies = engine.execute(
        "COMMAND", "INFO", "nope", "Config|Get", "config|nope", "get|x"
    )
    assert [reply and reply[0] for reply in replies] == [
        None,
        b"config|get",
        None,
        None,
    ]


def test_all_of_them(engine):
    everything = engine.execute("COMMAND")
    assert len(everything) == engine.execute("COMMAND", "COUNT")
    assert len(engine.execute("COMMAND", "INFO")) == len(everything)
    below = [sub for info in everything for sub in info[9]]
    assert len(engine.execute("COMMAND", "LIST")) == len(everything) + len(below)
    assert all(b"|" not in info[0] for info in everything)


def test_every_command_has_facts_of_redis_or_of_the_module(engine):
    for info in engine.execute("COMMAND"):
        facts = command_facts().get(info[0].decode())
        if facts is None:
            assert info[0].startswith((b"tf", b"tc", b"_rg", b"redisgears_2."))
        else:
            names = {name for name, bit in FLAG_NAMES.items() if facts.flags & bit}
            assert (info[1], info[2]) == (facts.arity, names)


# -- DOCS


def test_docs(engine):
    docs = engine.execute("COMMAND", "DOCS", "get", "nope")
    assert list(docs) == [b"get"]
    assert docs[b"get"][b"summary"].endswith(b".")
    assert (docs[b"get"][b"since"], docs[b"get"][b"group"]) == (b"1.0.0", b"string")


def test_docs_of_a_container(engine):
    docs = engine.execute("COMMAND", "DOCS", "config")[b"config"]
    assert docs[b"summary"] == b"A container for CONFIG commands."
    assert b"config|get" in docs[b"subcommands"]


def test_docs_of_what_is_deprecated(engine):
    docs = engine.execute("COMMAND", "DOCS", "getset")[b"getset"]
    assert docs[b"doc_flags"] == {"deprecated"}
    assert docs[b"deprecated_since"] == b"6.2.0"
    assert docs[b"replaced_by"] == b"`SET key value GET`"


def test_docs_of_what_only_servers_send(engine):
    docs = engine.execute("COMMAND", "DOCS", "debug")[b"debug"]
    assert docs[b"doc_flags"] == {"syscmd"}


def test_docs_of_a_module_s_command(engine):
    docs = engine.execute("COMMAND", "DOCS", "tfcall")[b"tfcall"]
    assert (docs[b"group"], docs[b"module"]) == (b"module", b"redisgears_2")
    listed = engine.execute("COMMAND", "LIST", "FILTERBY", "MODULE", "redisgears_2")
    assert b"tfcall" in listed
    assert b"get" not in listed


def test_every_command_has_a_summary(engine):
    for name, docs in engine.execute("COMMAND", "DOCS").items():
        for below in (docs, *docs.get(b"subcommands", {}).values()):
            assert below[b"summary"].strip().endswith(b"."), name


# -- LIST


def test_list_filters(engine):
    def names(*words):
        return engine.execute("COMMAND", "LIST", "FILTERBY", *words)

    assert names("PATTERN", "config|*e*") == [
        b"config|get",
        b"config|help",
        b"config|resetstat",
        b"config|rewrite",
        b"config|set",
    ]
    assert b"publish" in names("ACLCAT", "pubsub")
    assert b"pubsub" not in names("ACLCAT", "PUBSUB")
    assert b"pubsub" in names("ACLCAT", "slow")
    assert names("ACLCAT", "nope") == []
    assert names("MODULE", "nope") == []


@pytest.mark.parametrize(
    "words",
    ["x", "FILTERBY", "FILTERBY PATTERN", "FILTERBY PATTERN a b", "FILTERBY FOO x"],
)
def test_list_refused(engine, words):
    assert refused(engine, "COMMAND", "LIST", *words.split()) == "ERR syntax error"


# -- GETKEYS


def test_getkeys(engine):
    assert engine.execute("COMMAND", "GETKEYS", "MSET", "a", "1", "b", "2") == [
        b"a",
        b"b",
    ]
    assert engine.execute("COMMAND", "GETKEYS", "object", "encoding", "a") == [b"a"]
    assert engine.execute("COMMAND", "GETKEYSANDFLAGS", "SET", "a", "b", "GET") == [
        [b"a", {"RW", "access", "update"}]
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nope a", "ERR Invalid command specified"),
        ("config nope", "ERR Invalid command specified"),
        ("config get a", "ERR The command has no key arguments"),
        ("spublish a b", "ERR The command has no key arguments"),
        ("get a b", "ERR Invalid number of arguments specified for command"),
        ("zunionstore d 5 a", "ERR Invalid arguments specified for command"),
    ],
)
def test_getkeys_refused(engine, words, message):
    assert refused(engine, "COMMAND", "GETKEYS", *words.split()) == message


def test_help(engine):
    assert engine.execute("COMMAND", "HELP")[-1] == "    Prints this help."
    assert refused(engine, "COMMAND", "foo") == (
        "ERR unknown subcommand 'foo'. Try COMMAND HELP."
    )
