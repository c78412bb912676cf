"""A trace of everybody while clients of a server write."""

from __future__ import annotations

import threading

import redis

import trignb
from functions.libraries import lib


def test_clients_of_a_server_are_traced_by_name(engine: trignb.Engine) -> None:
    engine.load(
        lib("""redis.registerKeySpaceTrigger('count', 'k', (client) => {
        client.call('incr', 'n');
    });""")
    )
    with engine.serve() as server:
        clients = [
            redis.Redis(port=server.port, client_name=name) for name in ("ann", "bob")
        ]
        for client in clients:
            client.ping()
        with engine.trace("all") as trace, engine.trace() as mine:
            threads = [
                threading.Thread(
                    target=lambda c=client: [c.set("k", i) for i in range(20)]
                )
                for client in clients
            ]
            for thread in threads:
                thread.start()
            engine.execute("SET", "other", "1")
            for thread in threads:
                thread.join()
        for client in clients:
            client.close()
    frame = trace.df()
    sets = frame[frame["command"].fillna("").str.startswith("SET k")]
    assert sorted(sets["client"]) == ["ann"] * 20 + ["bob"] * 20
    assert (frame["kind"] == "trigger").sum() == 40
    assert "ann> SET k 0 → OK" in trace.text()
    assert repr(mine.diff()) == 'other (string, new): "1"'
    assert engine.execute("GET", "n") == b"40"
