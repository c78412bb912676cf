from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.libraries import eventually, lib
from trignb.notebook import graph
from trignb.notebook.columns import TEXT
from trignb.notebook.drawing import DARK, INLINE, LIGHT, Box, Line, draw, place

if TYPE_CHECKING:
    import trignb

SOURCE = """redis.registerKeySpaceTrigger('stamp', 'user:', (client, data) => {
    client.call('hset', data.key, 'seen', '1');
    client.call('incr', 'changes');
});
redis.registerKeySpaceTrigger('deny', 'orc:', () => { throw new TypeError('boom'); });
redis.registerKeySpaceTrigger('index', 'user:', (client, data) => {
    client.call('sadd', 'users', data.key);
    client.call('get', 'nothing');
});
redis.registerStreamTrigger('bill', 'orders:', (client, data) => {
    client.call('set', `invoice:${data.id[0]}`, '1');
    client.call('expire', `invoice:${data.id[0]}`, '10');
});"""

SVG = "{http://www.w3.org/2000/svg}"


def run(engine: trignb.Engine) -> graph.TriggerGraph:
    engine.load(lib(SOURCE))
    for i in range(3):
        engine.execute("HSET", f"user:{i}", "name", "x")
        engine.execute("XADD", "orders:eu", f"{i + 1}-0", "f", "v")
    engine.execute("SET", "orc:1", "x")
    return engine.plot.graph()


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter(SVG + "text")]


def test_as_text(engine: trignb.Engine) -> None:
    assert repr(run(engine)).splitlines() == [
        "user:* → lib.stamp (3 runs) → user:* (3), changes (3)",
        "user:* → lib.index (3 runs) → users (3)",
        "orc:* → lib.deny (1 run, 1 failed)",
        "stream orders:* → lib.bill (3 runs) → invoice:* (6)",
    ]


def test_edges(engine: trignb.Engine) -> None:
    edges = run(engine).df()
    assert [str(dtype) for dtype in edges.dtypes] == [
        *("category", TEXT, TEXT, TEXT, TEXT, "int64", TEXT),
    ]
    fires = edges[edges["kind"] == "fires"]
    assert fires["source"].tolist() == ["user:*", "user:*", "orc:*", "stream orders:*"]
    assert fires["count"].tolist() == [3, 3, 1, 3]
    bill = edges[(edges["trigger"] == "bill") & (edges["kind"] == "writes")]
    assert bill[["source", "target", "count", "events"]].to_numpy().tolist() == [
        ["lib.bill", "invoice:*", 6, "set, expire"]
    ]
    assert len(edges) == 8


def test_as_a_picture(engine: trignb.Engine) -> None:
    svg = run(engine).svg()
    shown = texts(svg)
    assert shown[:2] == ["keys", "user:*"]
    assert {"lib.stamp", "3 runs", "invoice:*", "6 writes"} <= set(shown)
    assert "1 run, 1 failed" in shown
    # Failure is said in words; the colour only repeats it.
    assert svg.count(LIGHT.bad) == 1
    assert shown.count("user:*") == 2


def test_themes(engine: trignb.Engine) -> None:
    picture = run(engine)
    assert LIGHT.back in picture.svg()
    assert "var(" not in picture.svg()
    assert DARK.text in picture.svg("dark")
    assert "var(--jp-content-font-color1," in picture._repr_html_()
    assert picture._repr_svg_() == picture.svg()
    for svg in (picture.svg("dark"), picture._repr_html_()):
        assert texts(svg) == texts(picture.svg())


def test_the_same_every_time(engine: trignb.Engine) -> None:
    picture = run(engine)
    assert engine.plot.graph().svg() == picture.svg()


def test_into_a_file(engine: trignb.Engine, tmp_path) -> None:
    picture = run(engine)
    picture.save(tmp_path / "graph.svg", "dark")
    assert (tmp_path / "graph.svg").read_text("utf-8") == picture.svg("dark")


def test_without_triggers(engine: trignb.Engine) -> None:
    picture = engine.plot.graph()
    assert repr(picture) == "no trigger is loaded"
    assert texts(picture.svg()) == ["no trigger is loaded"]
    assert picture.df().empty
    assert [str(d) for d in picture.df().dtypes][:2] == ["category", TEXT]


def test_background_work_is_its_trigger_s(engine: trignb.Engine) -> None:
    engine.load(
        lib(
            """redis.registerKeySpaceTrigger('other', 'x:', () => {});
redis.registerKeySpaceTrigger('later', 'a:', async client => {
    client.block(c => c.call('set', 'done', '1'));
});"""
        )
    )
    engine.execute("SET", "a:1", "v")
    eventually(lambda: engine.execute("EXISTS", "done"))
    line = repr(engine.plot.graph()).splitlines()[1]
    assert line == "a:* → lib.later (1 run) → done (1)"


def test_names_of_keys_are_data(engine: trignb.Engine) -> None:
    engine.load(
        lib(
            "redis.registerKeySpaceTrigger('t', '<img onerror>', (c, d) =>"
            " { c.call('incr', d.key + '&\\x01\\n' + 'x'.repeat(60)); });"
        )
    )
    engine.execute("SET", "<img onerror>\x02", "v")
    picture = engine.plot.graph()
    for svg in (picture.svg(), picture._repr_html_()):
        assert "<img" not in svg
        ET.fromstring(svg)
    assert r"<img onerror>\x02&\…xxxxxxxxxxxxxxxxxx" in texts(picture.svg())
    assert len(repr(picture).splitlines()) == 1


def test_very_many_triggers_and_keys(engine: trignb.Engine) -> None:
    lines = [
        f"redis.registerKeySpaceTrigger('t{i}', 'p{i}:', c => c.call('incr', 'n{i}'));"
        for i in range(70)
    ]
    engine.load(lib("\n".join(lines)))
    for i in range(5, 70):
        engine.execute("SET", f"p{i}:", "v")
    for i in range(5, 34):
        engine.execute("SET", f"p{i}:", "v")
    picture = engine.plot.graph()
    assert picture.hidden == 10
    edges = picture.df()
    writes = edges[edges["kind"] == "writes"]
    assert writes["target"].nunique() == 30
    assert (writes["target"] == "31 other keys").sum() == 31
    assert "10 more triggers" in texts(picture.svg())
    assert repr(picture).endswith("… 10 more triggers")
    # The ones left out ran least.
    assert {f"t{i}" for i in range(5, 34)} <= set(edges["trigger"])


# -- where boxes stand


@settings(max_examples=50)
@given(st.data())
def test_boxes_never_lie_on_one_another(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    sources, targets = data.draw(st.integers(1, n)), data.draw(st.integers(0, 12))
    lines = [Line(0, i % sources, i, 1) for i in range(n)]
    lines += [
        Line(1, data.draw(st.integers(0, n - 1)), target, 5)
        for target in range(targets)
    ]
    boxes = [
        [Box(f"s{i}") for i in range(sources)],
        [Box(f"t{i}", "1 run") for i in range(n)],
        [Box(f"k{i}", "1 write") for i in range(targets)],
    ]
    for column in place(boxes, lines):
        places = sorted((one.y, one.y + one.height) for one in column)
        assert all(top >= 30 for top, _ in places)
        for (_, bottom), (top, _) in pairwise(places):
            assert top >= bottom + 10
    ET.fromstring(draw(("a", "b", "c"), boxes, lines, INLINE))


@pytest.mark.parametrize(("text", "room"), [("日本語", 6 * 7), ("x" * 100, 38 * 7)])
def test_letters_have_room(text: str, room: int) -> None:
    svg = draw(("", "", ""), ([Box(text)], [Box("t")], []), [Line(0, 0, 0, 1)], LIGHT)
    width = float(ET.fromstring(svg).findall(f".//{SVG}rect")[1].attrib["width"])
    assert room < width < room + 40
