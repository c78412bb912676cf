"""Completion through the kernel protocol, as a front end asks for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernels import Kernel

DATA = """%%redis --quiet
HSET user:1 name x mail y
HSET user:2 name y
SET greeting x
SET "my key" 1
SET "caf\\xc3\\xa9" 1
SET "\\xff" 1
SET '{{x' 1
ZADD board 1 a
SET gone 1 PX 1
"""
LIBRARY = """%%tfunction talks
redis.registerFunction('f', () => 1);
redis.registerKeySpaceTrigger('stamp', 'x', () => 1);
"""


@pytest.fixture(scope="module", autouse=True)
def _prepared(kernel: Kernel) -> Iterator[None]:
    for cell in (
        "%load_ext trignb",
        "%tf engine tab --new",
        "%tf clock set 2024-01-01T00:00:00Z",
        DATA,
        LIBRARY,
        "%tf clock advance 1s",
        "people = {'ann': 1}\n%redis --engine default PING",
        "%%redis --save again\nPING",
    ):
        assert kernel.run(cell)[0] == "ok", cell
    yield
    kernel.run("%tf engine tab --close")


def offers(kernel: Kernel, marked: str) -> tuple[list[str], str]:
    """Return what Tab at ``¦`` offers, and which part of the cell it would replace."""
    at = marked.index("¦")
    code = marked.replace("¦", "")
    reply = kernel.complete(code, at)
    assert reply["status"] == "ok"
    return reply["matches"], code[reply["cursor_start"] : reply["cursor_end"]]


@pytest.mark.parametrize(
    ("marked", "matches", "replaced"),
    [
        # commands, subcommands
        ("%redis HGETA¦", ["HGETALL"], "HGETA"),
        ("reply = %redis hgeta¦", ["hgetall"], "hgeta"),
        ("    %redis HGETA¦", ["HGETALL"], "HGETA"),
        ("a = 1\n%redis HGETA¦\nb", ["HGETALL"], "HGETA"),
        ("%redis -n 1 --raw HGETA¦", ["HGETALL"], "HGETA"),
        ("%redis -- HGETA¦", ["HGETALL"], "HGETA"),
        ("%redis 5 HGETA¦", ["HGETALL"], "HGETA"),
        ("%redis HGETA¦LL x", ["HGETALL"], "HGETA"),
        ("%redis config res¦", ["resetstat"], "res"),
        ("%redis ZZ¦", [], ""),
        ("%redis ZZ people¦", [], ""),
        # options of commands
        ("%redis SET k v K¦", ["KEEPTTL"], "K"),
        ("%redis set k v px¦", ["px", "pxat"], "px"),
        ("%redis SET k v EX 5 ¦", ["NX", "XX", "GET"], ""),
        ("%redis SET k v EX ¦", [], ""),
        ("%redis ZADD board NX X¦", [], ""),
        ("%redis CONFIG GET maxmemory-p¦", ["maxmemory-policy"], "maxmemory-p"),
        # keys
        ("%redis GET gre¦", ["greeting"], "gre"),
        ("%redis GET my¦", ['"my key"'], "my"),
        ('%redis GET "my k¦', ['"my key"'], '"my k'),
        ("%redis GET 'my k¦", ["'my key'"], "'my k"),
        ("%redis GET caf¦", ["café"], "caf"),
        ("%redis GET {¦", ["'{{x'"], "{"),
        ("%redis GET gon¦", [], ""),
        ("%redis MGET greeting gre¦", ["greeting"], "gre"),
        ("%redis HGET user:1 ¦", ["mail", "name"], ""),
        ("%redis ZINTER 2 board boa¦", ["board"], "boa"),
        ("%redis ZINTER 2 board board W¦", ["WEIGHTS", "WITHSCORES"], "W"),
        # functions, libraries, channels, engines, snippets
        ("%redis TFCALL ¦", ["talks.f"], ""),
        ("%redis TFCALL talks.f 1 gre¦", ["greeting"], "gre"),
        ("%redis TFUNCTION DELETE t¦", ["talks"], "t"),
        ("%redis --engine ¦", ["default", "tab"], ""),
        ("%redis --run ¦", ["again"], ""),
        ("%redis --engine default GET gre¦", [], ""),
        ("%redis --no¦", ["--no-expand"], "--no"),
        # Python
        ("%redis SET k {{peo¦", ["people"], "peo"),
        ("%redis SET k {{people.ite¦", ["people.items"], "people.ite"),
        ('%redis SET k "{{ len(peo¦', ["people"], "peo"),
        ("%redis SET k '{{peo¦", [], ""),
        # cells
        ("%%redis\nSET a 1\nHGET user¦\nGET x", ["user:1", "user:2"], "user"),
        ("\n%%redis --ec¦\nGET x", ["--echo"], "--ec"),
        ("%%redis\n# GET gre¦", [], ""),
        ('%%redis\nSET k """one\ngre¦', [], ""),
        ('%%redis\nSET k """one\n{{peo¦', ["people"], "peo"),
        ('%%redis\nSET k """one\ntwo"""\nGET gre¦', ["greeting"], "gre"),
        ("%%redis\nSET k 'it\nGET gre¦", ["greeting"], "gre"),
        ("%%tfunction --co¦", ["--config"], "--co"),
        ("%%tfunction --config peo¦", ["people"], "peo"),
        ("%%tfunction x\nclient.callA¦", ["client.callAsync", "client.callAsyncRaw"], "client.callA"),
        ("%%tfunction x\npeo¦", [], ""),
        # %tf
        ("%tf notif¦", ["notifications"], "notif"),
        ("frame = %tf stats ¦", ["talks"], ""),
        ("%tf stats talks ¦", [], ""),
        ("%tf notifications --ev¦", ["--event"], "--ev"),
        ("%tf notifications --event hs¦", ["hset"], "hs"),
        ("%tf call ta¦", ["talks.f"], "ta"),
        ("%tf call talks.f gre¦", ["greeting"], "gre"),
        ("%tf call talks.f -- gre¦", [], ""),
        ("%tf clock ad¦", ["advance"], "ad"),
        ("%tf help HGETA¦", ["HGETALL"], "HGETA"),
        ("%tf help @stre¦", ["@stream"], "@stre"),
        ("%tf help config res¦", ["resetstat"], "res"),
        ("%tf nonsense ¦", [], ""),
    ],
)  # fmt: skip
def test_offers(kernel: Kernel, marked: str, matches: list[str], replaced: str) -> None:
    found, part = offers(kernel, marked)
    assert sorted(found) == sorted(matches)
    if matches:
        assert part == replaced


def test_keys_of_the_type_that_fits_come_first(kernel: Kernel) -> None:
    found, _ = offers(kernel, "%redis HGET ¦")
    assert found[:2] == ["user:1", "user:2"]
    assert set(found[2:]) == {
        *("board", "greeting", '"my key"', "café", r'"\xff"', "'{{x'"),
    }
    assert offers(kernel, "%redis ZRANGE ¦")[0][0] == "board"


def test_channels(kernel: Kernel) -> None:
    kernel.run("listener = get_ipython().run_line_magic('tf', 'engine tab').session()")
    kernel.run("listener.execute('SUBSCRIBE', 'news')")
    assert offers(kernel, "%redis PUBLISH ¦")[0] == ["news"]
    kernel.run("listener.close()")
    assert offers(kernel, "%redis PUBLISH ¦")[0] == []


@pytest.mark.parametrize(
    "marked", ["peo¦", "%%timeit\npeo¦", "text = '%redis'\npeo¦", "%redis PING\npeo¦"]
)
def test_elsewhere_python_answers(kernel: Kernel, marked: str) -> None:
    assert "people" in offers(kernel, marked)[0]


def test_looking_changes_nothing(kernel: Kernel) -> None:
    look = (
        "e = %tf engine tab\n"
        "i = e.execute('INFO', 'stats')\n"
        "[l for l in i.splitlines() if l.startswith(b'keyspace_')], len(e.notifications())"
    )
    before = kernel.run(look)
    offers(kernel, "%redis GET ¦")
    offers(kernel, "%redis HGET user:1 ¦")
    assert kernel.run(look) == before


def test_many_keys_take_no_longer(kernel: Kernel) -> None:
    kernel.run(
        "e = %tf engine tab\n"
        "s = e.session(); s.execute('SELECT', 1)\n"
        "s.db.data.update({b'k%d' % i: b'' for i in range(1_000_000)})\n"
        "s.db.data[b'zebra'] = b''"
    )
    kernel.run("%redis SELECT 1")
    times = []
    for marked in (
        "%redis GET ¦",
        "%redis GET k99¦",
        "%redis HGET k¦",
        "%redis GET z¦",
    ):
        best = 60.0
        for _ in range(3):
            began = time.monotonic()
            offers(kernel, marked)
            best = min(best, time.monotonic() - began)
        times.append(best)
    assert max(times) < 0.1
    assert len(offers(kernel, "%redis GET k¦")[0]) == 200
    kernel.run("%config TrignbMagics.complete_keys_limit = 3")
    assert len(offers(kernel, "%redis GET k¦")[0]) == 3
    kernel.run("%config TrignbMagics.complete_keys_limit = 200")
    kernel.run("%%redis --quiet\nFLUSHDB\nSELECT 0")


def test_a_busy_engine_is_not_waited_for(kernel: Kernel) -> None:
    kernel.run(
        "import threading\n"
        "held, free = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with e.core.lock:\n"
        "        held.set(); free.wait(30)\n"
        "t = threading.Thread(target=hold); t.start(); held.wait()"
    )
    began = time.monotonic()
    assert offers(kernel, "%redis GET gre¦")[0] == []
    assert time.monotonic() - began < 5
    kernel.run("free.set(); t.join()")
    assert offers(kernel, "%redis GET gre¦")[0] == ["greeting"]


def test_help_by_question_mark(kernel: Kernel) -> None:
    for magic in ("%redis", "%%redis", "%%tfunction", "%redis_load"):
        shown = kernel.inspect(magic)
        assert "--engine ENGINE" in shown, magic
        assert "another engine" in shown
    assert "%tf stats [LIBRARY]" in kernel.inspect("%tf")


def test_unloading_takes_completion_away(kernel: Kernel) -> None:
    kernel.run("%reload_ext trignb")
    assert offers(kernel, "%redis HGETA¦")[0] == ["HGETALL"]
    count = "len(get_ipython().Completer.custom_matchers)"
    assert kernel.run(count) == ("ok", ["1"])
    kernel.run("%load_ext trignb")
    assert kernel.run(count) == ("ok", ["1"])
