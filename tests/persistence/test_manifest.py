"""The manifest: which files there are, and what redis-server says of bad ones."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trignb
from trignb.persistence.manifest import Manifest, Part

NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/\n"),
    min_size=1,
    max_size=30,
)


def read(tmp_path, text: str) -> Manifest:
    path = tmp_path / "manifest"
    path.write_text(text)
    manifest = Manifest.read(str(path))
    assert manifest is not None
    return manifest


def test_files_in_order(tmp_path):
    manifest = read(
        tmp_path,
        "# a remark\n"
        "file a.3.base.rdb seq 3 type b\n"
        "file a.7.incr.aof seq 7 type h\n"
        "file a.8.incr.aof seq 8 type i\n"
        'file "a \\x39.incr" seq 9 type i startoffset 0\n',
    )
    assert [part.name for part in manifest.parts] == [
        *("a.3.base.rdb", "a.8.incr.aof", "a 9.incr"),
    ]
    assert manifest.history == (Part("a.7.incr.aof", 7),)
    assert manifest.next_base("a", "aof") == Part("a.4.base.aof", 4)
    assert manifest.next_increment("a") == Part("a.10.incr.aof", 10)
    assert Manifest.read(str(tmp_path / "none")) is None


def test_a_rewrite(tmp_path):
    manifest = Manifest()
    base = manifest.next_base("a", "rdb")
    manifest = manifest.rewritten(base, ())
    for _ in range(2):
        manifest = manifest.with_increment(manifest.next_increment("a"))
    new = manifest.rewritten(manifest.next_base("a", "rdb"), manifest.increments[1:])
    assert new.text() == (
        "file a.2.base.rdb seq 2 type b\n"
        "file a.1.base.rdb seq 1 type h\n"
        "file a.1.incr.aof seq 1 type h\n"
        "file a.2.incr.aof seq 2 type i\n"
    )
    new.write(str(tmp_path), "manifest")
    assert os.listdir(tmp_path) == ["manifest"]
    assert Manifest.read(str(tmp_path / "manifest")) == new
    assert new.without_history().text().count("\n") == 2


@given(st.lists(NAMES, min_size=1, max_size=4), st.booleans())
def test_any_name_comes_back(tmp_path_factory, names, has_base):
    directory = tmp_path_factory.mktemp("names")
    parts = tuple(Part(name, i + 1) for i, name in enumerate(names))
    base = Part(names[0], 9) if has_base else None
    manifest = Manifest(base, parts)
    manifest.write(str(directory), "manifest")
    assert Manifest.read(str(directory / "manifest")) == manifest


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("\n", "line 1: '': Invalid AOF manifest file format"),
        ("garbage\n", "line 1: 'garbage': Invalid AOF manifest file format"),
        ("file a\n", "line 1: 'file a': Invalid AOF manifest file format"),
        ("file a seq x type i\n", "Invalid AOF manifest file format"),
        ("file 'a seq 1 type i\n", "Invalid AOF manifest file format"),
        ("file a seq 1 type q\n", "Unknown AOF file type"),
        ("file ../a seq 1 type i\n", "File can't be a path, just a filename"),
        (
            "file a seq 1 type b\nfile b seq 2 type b\n",
            "Found duplicate base file info",
        ),
        ("file a seq 2 type i\nfile b seq 2 type i\n", "line 2: .*: Found a non-monot"),
        ("file a seq 1 type i", "The AOF manifest file contains too long line"),
        ("#" * 1030 + "\n", "The AOF manifest file contains too long line"),
    ],
)
def test_what_redis_refuses(tmp_path, text, error):
    with pytest.raises(trignb.AofError, match=error):
        read(tmp_path, text)


def test_an_empty_file(tmp_path):
    with pytest.raises(trignb.AofError, match="Found an empty AOF manifest"):
        read(tmp_path, "")
