"""Packages of npm that tests need: bundles as people ship them, the TypeScript compiler.

They are installed once per session into a folder of the session's own, by name and version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

__all__ = ["MISSING", "PACKAGES", "find_npm", "install", "require_npm", "run"]

PACKAGES: Final = (
    "dayjs@1.11.13",
    "esbuild@0.25.5",
    "mathjs@14.5.2",
    "typescript@5.8.3",
)
MISSING: Final = "npm is not installed: no bundle was loaded, no typings were checked"


def find_npm() -> str | None:
    """Return the path of npm, None where there is none."""
    return shutil.which("npm")


def require_npm() -> None:
    """Skip the test where there is no npm, or fail it where CI is set."""
    if find_npm() is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)


def install(folder: Path) -> Path:
    """Install the packages below `folder`; returns it."""
    (folder / "package.json").write_text('{"private": true}')
    run(
        folder,
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        *PACKAGES,
    )
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a command there and return what it printed; a failure shows all of it."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
