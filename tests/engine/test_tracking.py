"""CLIENT TRACKING: who is told to forget which keys, and when."""

from __future__ import annotations

import pytest

from trignb.errors import ResponseError


class Tracker:
    """A client that tracks; `told` holds the keys of its invalidation messages."""

    def __init__(self, engine, *options, resp=3):
        self.session = engine.session(resp=resp)
        self.messages = []
        self.session.on_push = self.messages.append
        self.session.execute("CLIENT", "TRACKING", "ON", *options)

    def __call__(self, *args):
        return self.session.execute(*args)

    @property
    def told(self):
        told = [message[-1] for message in self.messages]
        self.messages.clear()
        return told


def refused(session, *args):
    with pytest.raises(ResponseError) as caught:
        session.execute(*args)
    return str(caught.value)


@pytest.fixture
def tracker(engine):
    return Tracker(engine)


# -- the default mode


def test_what_was_read_is_told_once(engine, tracker):
    tracker("GET", "k")
    engine.execute("SET", "k", "1")
    engine.execute("SET", "k", "2")
    assert tracker.told == [[b"k"]]
    tracker("MGET", "k", "q")
    engine.execute("MSET", "q", "1", "other", "2", "k", "3")
    assert tracker.told == [[b"q"], [b"k"]]


def test_the_message_is_a_push(engine, tracker):
    tracker("GET", "k")
    engine.execute("SET", "k", "1")
    assert tracker.messages == [[b"invalidate", [b"k"]]]


def test_writes_and_databases_do_not_matter(engine, tracker):
    tracker("SET", "k", "1")
    engine.execute("SET", "k", "2")
    assert tracker.told == []
    tracker("GET", "k")
    engine.execute("SELECT", 3)
    engine.execute("SET", "k", "2")
    assert tracker.told == [[b"k"]]


def test_ones_own_changes_are_told_unless_noloop(engine, tracker):
    tracker("GET", "k")
    tracker("SET", "k", "1")
    assert tracker.told == [[b"k"]]
    quiet = Tracker(engine, "NOLOOP")
    quiet("GET", "k")
    quiet("SET", "k", "1")
    assert quiet.told == []
    quiet("GET", "k")
    engine.execute("SET", "k", "1")
    assert quiet.told == [[b"k"]]


def test_reads_inside_a_transaction_count(engine, tracker):
    tracker("MULTI")
    tracker("GET", "k")
    tracker("EXEC")
    engine.execute("SET", "k", "1")
    assert tracker.told == [[b"k"]]


@pytest.mark.parametrize(
    "words",
    [["DEL", "k"], ["EXPIRE", "k", "-1"], ["RENAME", "k", "q"], ["APPEND", "k", "x"]],
)
def test_every_kind_of_change(engine, tracker, words):
    engine.execute("SET", "k", "v")
    tracker("GET", "k")
    engine.execute(*words)
    assert tracker.told == [[b"k"]]


def test_expiry_is_a_change_by_nobody(engine):
    quiet = Tracker(engine, "NOLOOP")
    engine.execute("SET", "k", "v", "PX", 5)
    quiet("GET", "k")
    engine.core.active_expire = False
    engine.clock.advance(1)
    quiet("GET", "k")
    assert quiet.told == [[b"k"]]


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
def test_a_flush_is_told_once_to_everybody(engine, tracker, command):
    other = Tracker(engine, "BCAST", "PREFIX", "x")
    engine.execute("SET", "k", "v")
    tracker("GET", "k")
    engine.execute(command)
    assert (tracker.told, other.told) == ([None], [None])


def test_the_table_is_limited(engine, tracker):
    engine.execute("CONFIG", "SET", "tracking-table-max-keys", 2)
    tracker("MGET", "a", "b", "c")
    assert tracker.told == [[b"a"]]


# -- OPTIN and OPTOUT


def test_optin(engine):
    tracker = Tracker(engine, "OPTIN")
    tracker("GET", "a")
    tracker("CLIENT", "CACHING", "YES")
    tracker("GET", "b")
    tracker("GET", "c")
    engine.execute("MSET", "a", "1", "b", "1", "c", "1")
    assert tracker.told == [[b"b"]]


def test_optout(engine):
    tracker = Tracker(engine, "OPTOUT")
    tracker("CLIENT", "CACHING", "NO")
    tracker("GET", "a")
    tracker("GET", "b")
    engine.execute("MSET", "a", "1", "b", "1")
    assert tracker.told == [[b"b"]]


def test_caching_lasts_through_a_transaction(engine):
    tracker = Tracker(engine, "OPTIN")
    for words in (
        ["CLIENT", "CACHING", "YES"],
        ["MULTI"],
        ["GET", "a"],
        ["GET", "b"],
        ["EXEC"],
    ):
        tracker(*words)
    engine.execute("MSET", "a", "1", "b", "1")
    assert tracker.told == [[b"a"], [b"b"]]


# -- BCAST


def test_prefixes_are_told_of_what_nobody_read(engine):
    tracker = Tracker(engine, "BCAST", "PREFIX", "user:", "PREFIX", "q")
    engine.execute("MSET", "user:2", "1", "other", "1", "user:1", "1", "q", "1")
    assert tracker.told == [[b"q"], [b"user:1", b"user:2"]]


def test_no_prefix_is_every_key(engine):
    tracker = Tracker(engine, "BCAST")
    engine.execute("SET", "k", "1")
    assert tracker.told == [[b"k"]]
    assert tracker("CLIENT", "TRACKINGINFO")[b"prefixes"] == [b""]


def test_one_message_for_a_unit(engine):
    tracker = Tracker(engine, "BCAST")
    engine.execute("MULTI")
    for key in "bab":
        engine.execute("SET", key, "1")
    engine.execute("EXEC")
    assert tracker.told == [[b"a", b"b"]]


def test_noloop_looks_who_changed_a_key_last(engine):
    tracker = Tracker(engine, "BCAST", "NOLOOP")
    tracker("SET", "k", "1")
    assert tracker.told == []
    engine.execute("SET", "k", "1")
    assert tracker.told == [[b"k"]]


# -- REDIRECT


def test_redirected_to_a_resp2_listener(engine):
    target = engine.session(resp=2)
    heard = []
    target.on_push = heard.append
    target.execute("SUBSCRIBE", "__redis__:invalidate")
    heard.clear()
    tracker = Tracker(engine, "REDIRECT", target.id, resp=2)
    tracker("GET", "k")
    engine.execute("SET", "k", "1")
    assert heard == [[b"message", b"__redis__:invalidate", [b"k"]]]
    assert tracker("CLIENT", "GETREDIR") == target.id


def test_redirected_to_resp3(engine):
    target = engine.session()
    tracker = Tracker(engine, "REDIRECT", target.id)
    tracker("GET", "k")
    engine.execute("SET", "k", "1")
    assert list(target.inbox) == [[b"invalidate", [b"k"]]]
    assert tracker.told == []


def test_a_redirection_that_broke(engine):
    target = engine.session()
    tracker = Tracker(engine, "REDIRECT", target.id)
    tracker("GET", "k")
    target.close()
    engine.execute("SET", "k", "1")
    assert tracker.messages == [[b"tracking-redir-broken", target.id]]
    assert b"broken_redirect" in tracker("CLIENT", "TRACKINGINFO")[b"flags"]
    assert b" flags=tR " in tracker("CLIENT", "INFO")


def test_resp2_without_redirection_is_told_nothing(engine):
    tracker = Tracker(engine, resp=2)
    tracker("GET", "k")
    engine.execute("SET", "k", "1")
    assert tracker.messages == []


# -- turning it on and off


def test_off(engine, tracker):
    tracker("GET", "k")
    tracker("CLIENT", "TRACKING", "OFF")
    engine.execute("SET", "k", "1")
    assert tracker.told == []
    assert tracker.session.intercept is None
    assert engine.core.databases[0].watched == {}


def test_nobody_pays_when_nobody_tracks(engine):
    tracker = Tracker(engine)
    assert engine.core.databases[0].watched
    tracker.session.close()
    assert engine.core.databases[0].watched == {}
    assert not engine.core.tracking.is_on


def test_the_options_are_shown(engine):
    tracker = Tracker(engine, "OPTIN", "NOLOOP")
    tracker("CLIENT", "CACHING", "YES")
    assert tracker("CLIENT", "TRACKINGINFO") == {
        b"flags": {b"on", b"optin", b"caching-yes", b"noloop"},
        b"redirect": 0,
        b"prefixes": [],
    }
    tracker("CLIENT", "TRACKING", "OFF")
    assert tracker("CLIENT", "TRACKINGINFO") == {
        b"flags": {b"off"},
        b"redirect": -1,
        b"prefixes": [],
    }
    assert tracker("CLIENT", "GETREDIR") == -1


OVERLAP = (
    "ERR Prefix '{}' overlaps with {} prefix '{}'. "
    "Prefixes for a single client must not overlap."
)
NOT_TRACKING = (
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN "
    "or OPTOUT mode enabled"
)
MODE = (
    "ERR You can't switch {} mode{} before disabling tracking for this client, and then "
    "re-enabling it with a different mode."
)


@pytest.mark.parametrize(
    ("before", "options", "message"),
    [
        ([], "ON FOO", "ERR syntax error"),
        ([], "MAYBE", "ERR syntax error"),
        ([], "ON PREFIX a", "ERR PREFIX option requires BCAST mode to be enabled"),
        ([], "ON BCAST PREFIX", "ERR syntax error"),
        ([], "ON BCAST OPTIN", "ERR OPTIN and OPTOUT are not compatible with BCAST"),
        (
            [],
            "ON OPTIN OPTOUT",
            "ERR You can't specify both OPTIN mode and OPTOUT mode",
        ),
        ([], "ON REDIRECT x", "ERR value is not an integer or out of range"),
        (
            [],
            "ON REDIRECT 999",
            "ERR The client ID you want redirect to does not exist",
        ),
        (
            [],
            "ON BCAST PREFIX a PREFIX ab",
            OVERLAP.format("a", "another provided", "ab"),
        ),
        (
            ["BCAST", "PREFIX", "a"],
            "ON BCAST PREFIX ab",
            OVERLAP.format("ab", "an existing", "a"),
        ),
        (["BCAST"], "ON", MODE.format("BCAST", " on/off")),
        (["OPTIN"], "ON OPTOUT", MODE.format("OPTIN/OPTOUT", "")),
    ],
)
def test_options_that_do_not_fit(engine, before, options, message):
    session = engine.session()
    if before:
        session.execute("CLIENT", "TRACKING", "ON", *before)
    assert refused(session, "CLIENT", "TRACKING", *options.split()) == message


@pytest.mark.parametrize(
    ("options", "word", "message"),
    [
        (
            None,
            "YES",
            NOT_TRACKING,
        ),
        (
            ["OPTOUT"],
            "YES",
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        (
            ["OPTIN"],
            "NO",
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ),
        ([], "MAYBE", "ERR syntax error"),
    ],
)
def test_caching_refused(engine, options, word, message):
    session = engine.session()
    if options is not None:
        session.execute("CLIENT", "TRACKING", "ON", *options)
    assert refused(session, "CLIENT", "CACHING", word) == message
