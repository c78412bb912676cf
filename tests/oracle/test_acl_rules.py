"""Users with rules at random: what is told of them, and what they may do, as Redis has it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from oracle.server import RedisServer, require_server
from oracle.wire import Connection
from trignb import Engine

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from trignb.errors import ResponseError

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(600)]


def words(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


COMMANDS = words("""
    get set mget select config config|get config|set config|resetstat acl acl|whoami acl|list
    debug client client|id client|kill flushall memory memory|doctor xgroup xgroup|create script
    script|load pubsub eval sort object object|freq module swapdb hello auth info ping publish
    """)
FIRST_ARGUMENTS = words("""
    get|x set|Foo select|0 select|1 debug|digest debug|DIGEST debug|sleep flushall|async ping|hi
    sort|a publish|a config|foo config|GET memory|nope client|ID get|x|y config|get|x get|
    """)
CATEGORIES = words("""
    keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin
    fast slow blocking dangerous connection transaction scripting all nope
    """)
# A pattern without a right ("%~x") makes 7.2.4 end.
PATTERNS = ["~", "%R~", "%W~", "%RW~", "%WR~", "%r~", "%rW~", "%RR~", "%X~"]
NAMES = ["*", "a", "b", "a*", "", "*a", "x:*"]
OTHERS = words("""
    allkeys resetkeys RESETKEYS allchannels resetchannels allcommands nocommands on off nopass
    resetpass >a >b <a <b #zz reset clearselectors sanitize-payload skip-sanitize-payload nope
    """)
CALLS = """
    get a / set a b / set a b get / mget a b / select 0 / select 1 / config get x / config set x y /
    debug digest / debug sleep 0 / client id / client kill x / publish a x / subscribe b /
    psubscribe a* / psubscribe * / ssubscribe a b / ping hi / ping / flushall / flushall async /
    xgroup create a b $ / sort a / sort a store b / script load x / eval x 1 a / object freq a /
    memory doctor / acl whoami / hello 3 / bitfield a get u8 0 / bitfield a set u8 0 1 / set foo b
    """.replace("\n", " ").split(" / ")
WORDS = words("""
    a b x xx 0 1 2 3 -1 a b x a b store get by # * keys auth auth2 limit streams count group block
    copy replace storedist withscores weights aggregate set incrby overflow id ex persist px nx ch
    incr left right any fromlonlat bybox 10 km numkeys myid $ > timeout maxlen ~ = minid type b*
    """)
USERS = {
    "reads": "%R~* +@all",
    "writes": "%W~* +@all",
    "both": "%R~* %W~* +@all",
    "a": "~a +@all",
    "mixed": "%RW~b %R~a ~x* +@all",
    "selectors": "+@all (%R~a +@all) (%W~a +@all) (~b +@read)",
    "nothing": "+@all",
    "channels": "~* +@all &a &b*",
    "more-channels": "~* (+@all &x &*) (+@all ~a &b)",
}


class Both:
    """A server and an engine, asked the same."""

    def __init__(self, server: RedisServer, engine: Engine) -> None:
        self.connection = server.connect()
        self.ours = Connection(engine.serve().port)
        self.wrong: list[str] = []
        self.asked = 0

    def ask(self, *words: str) -> Any:
        """Ask both, and note it when the answers differ."""
        theirs: Any = self.connection.execute(*words)
        ours: Any = self.ours.execute(*words)
        self.asked += 1
        if _text(ours) != _text(theirs):
            self.wrong.append(f"{words}: redis {theirs!r}, here {ours!r}")
        return theirs


def _text(reply: ResponseError | object) -> str:
    return f"{type(reply).__name__} {reply}"


@pytest.fixture
def both() -> Iterator[Both]:
    require_server("redis72")
    with RedisServer("redis72") as server, Engine() as engine:
        both = Both(server, engine)
        yield both
        both.ours.close()


def a_rule(chance: random.Random) -> str:
    """Return a rule, right or wrong."""
    kind = chance.randrange(20)
    sign = chance.choice("+-")
    if kind < 6:
        return sign + chance.choice(COMMANDS)
    if kind < 10:
        return sign + "@" + chance.choice(CATEGORIES)
    if kind < 13:
        return chance.choice("+++++-") + chance.choice(FIRST_ARGUMENTS)
    if kind < 15:
        return chance.choice(PATTERNS) + chance.choice(NAMES)
    if kind < 16:
        return "&" + chance.choice(NAMES)
    if kind < 19:
        return chance.choice(OTHERS)
    return f"({a_right_rule(chance)} {a_right_rule(chance)})"


def a_right_rule(chance: random.Random) -> str:
    """Return a rule that is right in a selector: 7.2.4 does not survive refused selectors."""
    pattern = chance.choice(PATTERNS[:5]) + chance.choice(NAMES[1:])
    command = chance.choice("+-") + chance.choice(COMMANDS)
    category = chance.choice("+-") + "@" + chance.choice(CATEGORIES[:-1])
    return chance.choice([pattern, command, category, "&" + chance.choice(NAMES[1:])])


def test_rules_at_random(both: Both, counts: Counter[str], long: bool) -> None:
    chance = random.Random(7)
    for _ in range(3000 if long else 150):
        both.ask("ACL", "DELUSER", "u")
        for _ in range(chance.randrange(1, 6)):
            rules = [a_rule(chance) for _ in range(chance.choice([1, 1, 1, 2, 3, 5]))]
            both.ask("ACL", "SETUSER", "u", *rules)
            both.ask("ACL", "LIST")
            both.ask("ACL", "GETUSER", "u")
        for call in CALLS:
            both.ask("ACL", "DRYRUN", "u", *call.split())
        assert not both.wrong, "\n".join(both.wrong)
    counts["questions about users with rules at random, all agree"] += both.asked


def test_every_commands_keys(both: Both, counts: Counter[str], long: bool) -> None:
    for name, rules in USERS.items():
        both.ask("ACL", "SETUSER", name, *rules.split())
    chance = random.Random(7)
    listed = both.connection.execute("COMMAND")
    arities = {info[0].decode(): info[1] for info in listed if not info[9]}
    arities |= {s[0].decode(): s[1] for info in listed for s in info[9]}
    for name, arity in sorted(arities.items()):
        words = name.split("|")
        for _ in range(300 if long else 12):
            more = abs(arity) - len(words) + (arity < 0) * chance.randrange(7)
            line = words + chance.choices(WORDS, k=max(more, 0))
            both.ask("ACL", "DRYRUN", chance.choice([*USERS]), *line)
        assert not both.wrong, "\n".join(both.wrong)
    counts["calls whose keys and channels are checked alike"] += both.asked
