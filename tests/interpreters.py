"""The CPython interpreters on this machine, by version."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["find_interpreters"]

VERSIONS = ("3.11", "3.12", "3.13")


def find_interpreters() -> dict[str, Path]:
    """Return one interpreter that starts for each version that is found.

    They are looked for on PATH and among those that pyenv installed.
    """
    found: dict[str, Path] = {}
    for version in VERSIONS:
        names = [shutil.which(f"python{version}")]
        installed = Path.home() / ".pyenv" / "versions"
        names += sorted(map(str, installed.glob(f"{version}.*/bin/python")))
        for name in filter(None, names):
            if _version(name) == version:
                found[version] = Path(name)
                break
    return found


def _version(python: str) -> str | None:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
