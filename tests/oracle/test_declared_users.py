"""Users that a configuration file declares, right and wrong, beside redis-server's reading of them."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from oracle.references import find_reference
from oracle.server import RedisServer, require_server
from trignb import Engine
from trignb.server.directives import DirectiveError, read_directives, settle
from trignb.server.main import KNOWN, declare_users

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(60)]

RIGHT = [
    "user alice",
    "user alice on nopass ~* +@all",
    "USER alice ON >p +get|x -@all +set",
    "user alice on (~x +get) (%R~y +@read -get)",
    "user alice on &a &b* ~a ~b\nuser bob on >p1 >p2",
    "user default on nopass +@all ~x",
    "user alice on nopass sanitize-payload resetchannels -@all",
]
WRONG = [
    "user alice on foo",
    "user alice on ~* ~x",
    "user alice on #a",
    "user alice on <p",
    "user alice on (~x",
    "user alice (~x +get",
    "user alice on (~x +get) (+set ~y",
    "user alice on (~x +get) foo",
    "user alice on nopass +config|get|x",
    "user alice on\nuser alice off",
]


@pytest.mark.parametrize("text", RIGHT)
def test_users_are_there_from_the_start(
    text: str, tmp_path: Path, counts: Counter[str]
) -> None:
    require_server("redis72")
    path = tmp_path / "users.conf"
    path.write_text(text + "\n")
    with RedisServer("redis72", include=str(path)) as server, Engine() as engine:
        declare_users(engine, settle(read_directives([], path), KNOWN).users)
        theirs = server.connect().execute("ACL", "LIST")
        assert engine.execute("ACL", "LIST") == theirs
    counts["users that a file declares"] += 1


@pytest.mark.parametrize("text", WRONG)
def test_wrong_users_keep_the_server_from_starting(
    text: str, tmp_path: Path, counts: Counter[str]
) -> None:
    require_server("redis72")
    launch = find_reference("redis72")
    assert launch is not None
    path = tmp_path / "users.conf"
    path.write_text(f"hz 10\n{text}\n")
    told = subprocess.run(
        [*launch.words, str(path)],
        env={**os.environ, **launch.environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    with Engine() as engine, pytest.raises(DirectiveError) as caught:
        declare_users(engine, settle(read_directives([], path), KNOWN).users)
    # The first line has a version.
    report = caught.value.report.partition(") ***\n")[2]
    assert report, caught.value
    assert report in told.stderr + told.stdout
    assert caught.value.reason.startswith("Error in user declaration ")
    counts["users that a file declares"] += 1
