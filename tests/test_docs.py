"""The documentation: its site builds without a warning and a network, its examples are true."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

import trignb

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
# Pages that others link to by name.
KNOWN = ["architecture", "compatibility", "javascript-runtime", "notebook"]

# A build that asks another host for anything fails.
OFFLINE = """
import socket
def refuse(*_):
    raise AssertionError("the documentation asks a host")
socket.socket.connect = socket.getaddrinfo = refuse
from mkdocs.__main__ import cli
cli()
"""

LIBRARY = """#!js api_version=1.0 name=names
redis.registerKeySpaceTrigger("count", "", (client, data) => {
    if (data.event === "hset") {
        const name = `name_${client.call("hget", data.key, "name")}`;
        client.call("incr", name);
        if (redis.config.ttl) {
            client.call("expire", name, String(redis.config.ttl));
        }
    }
});
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "WARNING" not in told
    return folder


class Remote(HTMLParser):
    """Collects what a browser would fetch from other hosts by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        sources = [given.get("src")]
        if tag == "link" and given.get("rel") not in {"canonical", "next", "prev"}:
            sources.append(given.get("href"))
        self.found += [s for s in sources if s and re.match(r"(https?:)?//", s)]


def test_every_page_is_there(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file()
    for name in ("contributing", "changelog"):
        assert (site / f"{name}.html").is_file()
    for path in NOTEBOOKS:
        assert (site / "tutorials" / f"{path.stem}.html").is_file()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        parser = Remote()
        parser.feed(page.read_text("utf-8"))
        assert parser.found == [], page.name


def test_reference_has_every_public_name(site: Path) -> None:
    text = "".join(p.read_text("utf-8") for p in (site / "reference").glob("*.html"))
    for name in set(trignb.__all__) - {"__version__"}:
        assert re.search(rf'id="trignb\.[\w.]*\b{name}"', text), name
    methods = inspect.getmembers(trignb.Engine, inspect.isroutine)
    for name in (name for name, _ in methods if not name.startswith("_")):
        assert re.search(rf'id="trignb\.[\w.]*Engine\.{name}"', text), name


def test_command_line_page_is_what_help_says(site: Path) -> None:
    text = (site / "reference" / "cli.html").read_text("utf-8")
    for command in ("check", "call", "serve", "demo"):
        assert f"Usage: trignb {command}" in text


def test_tutorial_pages_hold_outputs_and_fold_solutions(site: Path) -> None:
    text = (site / "tutorials" / "04-what-fires.html").read_text("utf-8")
    assert "1658390910" in text
    assert 'class="dataframe"' in text
    assert text.count("One solution") == 2


def test_tutorials_are_listed_in_their_order() -> None:
    text = (DOCS / "tutorials.md").read_text("utf-8")
    listed = re.findall(r"\]\(\.\./notebooks/([\w.-]+)\)", text)
    assert listed == [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("name", KNOWN)
def test_pages_that_others_link_to_keep_their_names(name: str) -> None:
    assert (DOCS / f"{name}.md").is_file()


def fenced(path: Path) -> list[str]:
    """Return the blocks of a page that have no language: cells, and what they show."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S)
    return [block for language, block in blocks if not language]


def test_the_readme_shows_what_happens() -> None:
    shell = InteractiveShell()
    blocks = [block.rstrip("\n") for block in fenced(ROOT / "README.md")]
    assert blocks[0] == "%load_ext trignb"
    shell.run_cell(blocks.pop(0)).raise_error()
    # The page's moment; it says nothing of the clock so early.
    shell.run_cell("%tf clock set 1658390831").raise_error()
    shown = ""
    compared = 0
    for block in blocks:
        if block.startswith("%"):
            result = shell.run_cell(block)
            result.raise_error()
            shown = _typed(block, str(result.result))
        else:
            assert block == shown
            compared += 1
    shell.run_line_magic("unload_ext", "trignb")
    assert compared == 2


def _typed(cell: str, shown: str) -> str:
    """Leave out the lines that only repeat what was typed, as the page does."""
    typed = {f"redis> {line}" for line in cell.splitlines()}
    return "\n".join(line for line in shown.splitlines() if line not in typed)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_root_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    links += re.findall(r'\bsrc(?:set)?="([^"]+)"', text)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


# -- examples


def fences(path: Path, language: str) -> Iterator[str]:
    """Yield the fenced blocks of one language, their indentation taken away."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    for match in re.finditer(pattern, path.read_text("utf-8"), re.M | re.S):
        yield re.sub(rf"^{match[1]}", "", match[2], flags=re.M)


def cases(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{path.stem}-{number}")
        for path in PAGES
        for number, block in enumerate(fences(path, language))
    ]


@pytest.mark.parametrize(
    "code", [c for c in cases("javascript") if c.values[0].startswith("#!js")]
)
def test_libraries_in_the_documentation_load(code: str) -> None:
    if "redis.register" not in code:
        code += 'redis.registerFunction("nothing", () => null);\n'
    with trignb.Engine() as engine:
        assert engine.load(code).registered


def is_for_pytest(code: str) -> bool:
    return "def test_" in code and "trignb_engine" in code


@pytest.mark.parametrize(
    "code", [c for c in cases("python") if is_for_pytest(c.values[0])]
)
def test_tests_in_the_documentation_pass(code: str, tmp_path: Path) -> None:
    (tmp_path / "names.js").write_text(LIBRARY)
    (tmp_path / "test_example.py").write_text(code)
    plugin = ["-p", "no:cacheprovider", "-p", "trignb.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, str(tmp_path)],
        env=os.environ
        | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def is_a_program(code: str) -> bool:
    return "trignb.Engine(" in code and not is_for_pytest(code)


@pytest.mark.parametrize(
    "code", [c for c in cases("python") if is_a_program(c.values[0])]
)
def test_programs_in_the_documentation_run(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library.js").write_text(LIBRARY)
    (tmp_path / "data").mkdir()
    with trignb.Engine() as other:
        other.save(tmp_path / "data" / "dump.rdb")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"trignb": trignb}
    try:
        exec(code, names)
    finally:
        engine = names.get("engine")
        if isinstance(engine, trignb.Engine):
            engine.close()


# -- what comments cite


def test_comments_cite_headings_that_are_there() -> None:
    page = (ROOT / "docs" / "semantics.md").read_text("utf-8")
    headings = set(re.findall(r"^#+ (.+)$", page, re.M))
    files = [*(ROOT / "trignb").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    cited = {
        (path.name, name)
        for path in files
        if path.name != "test_docs.py"
        for name in re.findall(
            r"docs/semantics\.md, ([A-Z][\w -]*)", path.read_text("utf-8")
        )
    }
    assert len(cited) > 20
    assert not {(path, name) for path, name in cited if name not in headings}


def test_comments_cite_only_what_is_in_the_repository() -> None:
    for path in [*(ROOT / "trignb").rglob("*.py"), *(ROOT / "trignb").rglob("*.js")]:
        text = path.read_text("utf-8")
        assert not re.search(r"\bsection \d+(\.\d+)?\b", text), path
        for name in re.findall(r"\b(?:docs|tests|notebooks)/[\w/.-]*\w", text):
            assert (ROOT / name).exists(), f"{path} cites {name}"


def test_glossary_is_sorted_and_says_each_word_once() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^\| \*\*(.+?)\*\*", page, re.M)
    assert len(words) > 30
    assert words == sorted(set(words))
