"""JupyterLab and a Chromium: what people see, clicked through by Playwright.

One Lab for the session, with folders of its own; one Chromium for a file of tests, since Playwright keeps an
event loop on this thread. Notebooks are opened once and their cells run one by one, so that few kernels do.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[2]
MISSING = "Chromium is not installed: nothing was looked at in a browser"
PICTURES = Path(__file__).with_name("screenshots")
PATIENCE_S = 60

# Five seconds by default: too few where two processes of tests share two cores.
expect.set_options(timeout=30_000)

# What a menu does fails while the kernel is still being connected.
READY = """async () => {
  const app = window.jupyterapp; await app.restored;
  const panel = app.shell.currentWidget;
  await panel.context.ready; await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
}"""
RUN_CELL = """async (index) => {
  const app = window.jupyterapp;
  app.shell.currentWidget.content.activeCellIndex = index;
  return await app.commands.execute('notebook:run-cell');
}"""
# One after the other: at a cell that is to fail, `notebook:run-all-cells` ends.
RUN_ALL = """async () => {
  const app = window.jupyterapp;
  const book = app.shell.currentWidget.content;
  for (let i = 0; i < book.widgets.length; i++) {
    book.activeCellIndex = i;
    await app.commands.execute('notebook:run-cell');
  }
}"""
COMMAND = "([name, args]) => window.jupyterapp.commands.execute(name, args)"
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
EVALUATE = f"""async (expression) => {{
  const future = {KERNEL}.requestExecute(
    {{ code: '', silent: true, user_expressions: {{ it: expression }} }});
  const reply = await future.done;
  return reply.content.user_expressions.it.data['text/plain'];
}}"""
SHUTDOWN = "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
THEME_IS = "(light) => document.body.dataset.jpThemeLight === light"


def find_chromium() -> str | None:
    """Return the path of the installed Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands here; a browser takes its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(180))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say aloud that nothing was looked at."""
    if find_chromium() is None:
        terminalreporter.write_line(f"WARNING: {MISSING}", yellow=True, bold=True)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of Chromium; without one the test is skipped, or failed where CI is set."""
    path = find_chromium()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return path


# -- JupyterLab


class Lab:
    """A JupyterLab of our own: nothing of it lies outside of one folder."""

    def __init__(self, folder: Path) -> None:
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir(parents=True)
        settings = folder / "settings"
        self._settle(settings)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        names = {
            "JUPYTER_CONFIG_DIR": folder / "config",
            "JUPYTER_DATA_DIR": folder / "data",
            "JUPYTER_RUNTIME_DIR": folder / "runtime",
            "IPYTHONDIR": folder / "ipython",
            "JUPYTERLAB_SETTINGS_DIR": settings,
            "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        }
        environment = {name: str(path) for name, path in names.items()}
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *self._options(port)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def _options(self, port: int) -> list[str]:
        root = ["--allow-root"] if os.getuid() == 0 else []
        return [
            "--no-browser",
            "--ip=127.0.0.1",
            f"--port={port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.notebooks}",
            "--IdentityProvider.token=",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.news_url=None",
            *root,
        ]

    @staticmethod
    def _settle(settings: Path) -> None:
        """Ask for no news: their prompt covers a corner."""
        folder = settings / "@jupyterlab" / "apputils-extension"
        folder.mkdir(parents=True)
        quiet = {
            "fetchNews": "false",
            "checkForUpdates": False,
            "doNotDisturbMode": True,
        }
        path = folder / "notification.jupyterlab-settings"
        path.write_text(json.dumps(quiet), "utf-8")

    def wait(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/api/status", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, "JupyterLab has ended"
                assert time.monotonic() < deadline, "JupyterLab does not answer"
                time.sleep(0.1)

    def write(self, name: str, cells: list[str]) -> None:
        """Write a notebook of code cells."""
        book = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(book, self.notebooks / name)

    def read(self, name: str) -> Any:
        """Return a notebook as it was saved."""
        return nbformat.read(self.notebooks / name, as_version=4)

    def close(self) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="session")
def lab(chromium_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The JupyterLab of all tests."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    try:
        lab.wait()
        yield lab
    finally:
        lab.close()


# -- Chromium


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            headless=True,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """The browser of a file of tests."""
    with launched(chromium_path) as browser:
        yield browser


# JupyterLab's list of cells loses a node now and then, and neither traces nor
# views bring a script that could.
LOST_NODE = (
    "Failed to execute 'removeChild' on 'Node': "
    "The node to be removed is not a child of this node."
)


class Book:
    """A notebook, opened in JupyterLab in a profile of its own.

    ``errors`` are those of the page but for JupyterLab's own, ``remote`` what it asked for
    outside of this machine.
    """

    def __init__(
        self, lab: Lab, browser: Browser, name: str, *, scale: float = 1
    ) -> None:
        self.lab = lab
        self.name = name
        self.errors: list[str] = []
        self.remote: list[str] = []
        self.context: BrowserContext = browser.new_context(
            viewport={"width": 1280, "height": 1000}, device_scale_factor=scale
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("pageerror", lambda error: self._note_error(str(error)))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.goto(f"{lab.url}/lab/tree/{name}?reset")
        self.wait_until_open()
        self.page.evaluate(READY)

    def _note(self, url: str) -> None:
        if not url.startswith(
            (self.lab.url, self.lab.url.replace("http", "ws", 1), "data:", "blob:")
        ):
            self.remote.append(url)

    def wait_until_open(self) -> None:
        """Return when the notebook is there, with or without a kernel."""
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext"
        )

    def run(self, index: int) -> Locator:
        """Run one cell; return what it shows."""
        self.page.evaluate(RUN_CELL, index)
        return self.output(index)

    def start(self, index: int) -> None:
        """Run one cell without waiting for its end."""
        self.page.evaluate(f"(index) => {{ ({RUN_CELL})(index); }}", index)

    def run_all(self) -> None:
        """Run all cells."""
        self.page.evaluate(RUN_ALL)

    def cell(self, index: int) -> Locator:
        """Return a cell; one out of sight is not drawn, so it is scrolled to."""
        self.page.evaluate(
            "(index) => { const book = window.jupyterapp.shell.currentWidget.content;"
            " book.activeCellIndex = index; return book.scrollToItem(index, 'start'); }",
            index,
        )
        return self.page.locator(f'.jp-Cell[data-windowed-list-index="{index}"]')

    def output(self, index: int) -> Locator:
        """Return what a cell shows."""
        return self.cell(index).locator(".jp-OutputArea")

    def value(self, expression: str) -> str:
        """Return what the kernel makes of an expression, as its repr."""
        return str(self.page.evaluate(EVALUATE, expression))

    def kernel_is_busy(self) -> bool:
        """Whether a cell is running."""
        return bool(self.page.evaluate(f"() => {KERNEL}.status === 'busy'"))

    def interrupt(self) -> None:
        """Stop the cell that is running."""
        self.page.evaluate(f"() => {KERNEL}.interrupt()")
        self.page.wait_for_function(f"() => {KERNEL}.status === 'idle'")

    def command(self, name: str, **args: Any) -> None:
        """Run a command of JupyterLab."""
        self.page.evaluate(COMMAND, [name, args])

    def theme(self, name: str) -> None:
        """Change to ``light`` or ``dark``."""
        self.command("apputils:change-theme", theme=f"JupyterLab {name.title()}")
        self.page.wait_for_function(THEME_IS, arg=str(name == "light").lower())

    def picture(self, name: str, of: Locator | None = None) -> Path:
        """Keep a picture of the page, or of a part of it."""
        PICTURES.mkdir(exist_ok=True)
        path = PICTURES / f"{name}.png"
        (self.page if of is None else of).screenshot(path=path, animations="disabled")
        return path

    def _note_error(self, text: str) -> None:
        if text != LOST_NODE:
            self.errors.append(text)

    def shut_down_kernel(self) -> None:
        """End the notebook's kernel."""
        self.page.evaluate(SHUTDOWN)

    def check(self) -> None:
        """Make sure that nothing went wrong unseen."""
        assert not self.errors
        assert not self.remote

    def close(self) -> None:
        """End kernel and page."""
        self.shut_down_kernel()
        self.context.close()
