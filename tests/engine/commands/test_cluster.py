"""A single shard answers every command of the cluster group alike."""

from __future__ import annotations

import pytest

import trignb


@pytest.mark.parametrize("call", ["CLUSTER INFO", "CLUSTER HELP", "READONLY", "ASKING"])
def test_disabled(engine: trignb.Engine, call: str) -> None:
    with pytest.raises(
        trignb.ResponseError, match="^ERR This instance has cluster support disabled$"
    ):
        engine.execute(*call.split())


def test_unknown_subcommand(engine: trignb.Engine) -> None:
    with pytest.raises(trignb.ResponseError, match="unknown subcommand 'foo'"):
        engine.execute("CLUSTER", "foo")
