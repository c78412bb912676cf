"""What MkDocs cannot do alone: pages made of files that stand elsewhere.

The tutorials are the notebooks with their stored outputs, contributing and changelog are the
files in the root of the checkout, and the page of the command line is what ``--help`` says.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

from trignb.cli import main as command_line

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
ROOT_PAGES = {
    "contributing.md": "CONTRIBUTING.md",
    "releasing.md": "RELEASING.md",
    "changelog.md": "CHANGELOG.md",
}

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LANGUAGES = {"%%tfunction": "javascript", "%%redis": "text"}


def on_config(config: Any) -> Any:
    """Put the notebooks below the page that lists them."""
    for entry in config.nav:
        if "Tutorials" in entry:
            pages = [f"tutorials/{path.stem}.md" for path in _notebooks()]
            entry["Tutorials"] = [entry["Tutorials"], *pages]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here."""
    for path in _notebooks():
        name = f"tutorials/{path.stem}.md"
        files.append(File.generated(config, name, content=notebook_page(path)))
    for name, source in ROOT_PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, name, content=_from_root(text)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what the command line says, and let links to notebooks stay on the site."""
    if page.file.src_uri == "reference/cli.md":
        return markdown.replace("<!-- help -->", "\n".join(_help_pages()))
    return re.sub(
        r"\]\(\.\./notebooks/([\w-]+)\.ipynb\)", r"](tutorials/\1.md)", markdown
    )


def _notebooks() -> list[Path]:
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def _from_root(text: str) -> str:
    """Return a page of the root with its links as they are from within docs/."""
    for name, source in ROOT_PAGES.items():
        text = text.replace(f"]({source}", f"]({name}")
    return text.replace("](docs/", "](")


# -- notebooks


def notebook_page(path: Path) -> str:
    """Return a notebook as a page: text, cells, what they showed; solutions folded."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    parts = [part for cell in cells for part in _cell(cell)]
    where = f"*This page is `notebooks/{path.name}`; `make lab` opens it to be run.*"
    return "\n\n".join([*parts, where])


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    shown = [_fence(_language(source), source)]
    shown += [text for output in cell["outputs"] for text in _output(output)]
    if "solution" not in cell["metadata"].get("tags", ()):
        yield from shown
        return
    body = "\n\n".join(shown).replace("\n", "\n    ")
    yield f'??? success "One solution"\n\n    {body}'


def _language(source: str) -> str:
    return _LANGUAGES.get(source.split(maxsplit=1)[0], "python")


def _fence(language: str, text: str) -> str:
    return f"````{language}\n{text}\n````"


def _said(text: str) -> str:
    return _fence("{ .text .nb-said }", text)


def _output(output: dict[str, Any]) -> Iterator[str]:
    kind = output["output_type"]
    if kind == "stream":
        yield _said("".join(output["text"]).rstrip())
    elif kind == "error":
        yield _said(_ANSI.sub("", "\n".join(output["traceback"])))
    else:
        yield _shown({name: "".join(text) for name, text in output["data"].items()})


def _shown(data: dict[str, str]) -> str:
    """Return the form that reads best on a page: tables and drawings as such, the rest as text."""
    if "image/svg+xml" in data:
        return _block(data["image/svg+xml"])
    if "image/png" in data:
        source = f"data:image/png;base64,{data['image/png'].strip()}"
        return _block(f'<img alt="A picture drawn by the cell above" src="{source}">')
    plain = data.get("text/plain", "")
    markup = data.get("text/html", "")
    if 'class="dataframe"' in markup or "trignb-still" in markup:
        # The style that pandas brings is replaced by the site's own.
        return _block(re.sub(r"<style scoped>.*?</style>", "", markup, flags=re.DOTALL))
    return _said(plain)


def _block(markup: str) -> str:
    # Markdown would look for paragraphs between blank lines.
    lines = "\n".join(line for line in markup.splitlines() if line.strip())
    return f'<div class="nb-output">\n{lines}\n</div>'


# -- the command line


def _help_pages() -> Iterator[str]:
    context = click.Context(command_line, info_name="trignb")
    yield _help(command_line, context)
    for name, command in command_line.commands.items():
        yield f"\n## trignb {name}\n"
        yield _help(command, click.Context(command, context, name))


def _help(command: click.Command, context: click.Context) -> str:
    # Not fenced by backticks of its own: help texts hold none, and < > stay as they are.
    return f"```text\n{html.unescape(command.get_help(context))}\n```"
