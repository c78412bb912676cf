"""An emulated computer whose CPU has memory protection keys, with this Python and trignb on it.

QEMU translates every instruction, so it runs on any computer, and some ten times as slowly.
The disk is an archive of the interpreter, its libraries and the package; the first process
of the machine is `guest.py` in this same interpreter. Nothing else is needed but a kernel.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import trignb

QEMU: Final = "qemu-system-x86_64"
MISSING: Final = f"{QEMU} is not installed: no CPU with protection keys was emulated"
KERNEL_VARIABLE: Final = "TRIGNB_KERNEL"
HERE: Final = Path(__file__).parent
_PACKAGES: Final = ("py_mini_racer", "sortedcontainers", "lupa")
_LEFT_OUT: Final = {"site-packages", "dist-packages", "test", "tests", "idlelib"}
_LEFT_OUT |= {"ensurepip", "tkinter", "__pycache__"}
_ENDED: Final = re.compile(r"^ENDED (\w+) (-?\d+)$", re.MULTILINE)
_PATIENCE_S: Final = 900


class CannotRun(Exception):
    """There is no emulator or no kernel here; the text says what is missing."""


class Archive:
    """An archive that a kernel takes as its first disk ("newc")."""

    def __init__(self, path: Path) -> None:
        self._out = path.open("wb")
        self._names: set[str] = set()
        self._number = 0

    def add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        """Add an entry and the folders it is in."""
        name = name.strip("/")
        if name in self._names:
            return
        self._names.add(name)
        parent = os.path.dirname(name)
        if parent:
            self.add(parent, stat.S_IFDIR | 0o755)
        self._number += 1
        fields = (self._number, mode, 0, 0, 1, 0, len(data), 0, 0, *device)
        encoded = name.encode() + b"\0"
        head = b"070701" + b"".join(
            b"%08X" % field for field in (*fields, len(encoded), 0)
        )
        for part in (head + encoded, data):
            self._out.write(part + bytes(-len(part) % 4))

    def add_file(self, path: Path, name: str | None = None) -> None:
        """Add a file, or what a link points to."""
        self.add(name or str(path), stat.S_IFREG | 0o755, path.read_bytes())

    def add_tree(self, folder: Path, name: str | None = None) -> None:
        """Add a folder without what the scenes do not need."""
        name = name or str(folder)
        for entry in sorted(folder.iterdir()):
            inside = f"{name}/{entry.name}"
            if entry.name in _LEFT_OUT or entry.name.startswith("config-3"):
                continue
            if entry.is_dir():
                self.add_tree(entry, inside)
            elif entry.is_file():
                self.add_file(entry, inside)

    def close(self) -> None:
        """Write the end."""
        self.add("TRAILER!!!", 0)
        self._out.close()


def find_kernel() -> Path:
    """Return a kernel to boot; it is fetched by apt-get where there is none yet."""
    named = os.environ.get(KERNEL_VARIABLE)
    if named:
        return Path(named)
    folder = Path.home() / ".cache" / "trignb" / "kernel"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for place in (Path("/boot"), folder):
            found = sorted(place.glob("vmlinuz-*"))
            if found and os.access(found[-1], os.R_OK):
                return found[-1]
        return _fetch_kernel(folder)


def _fetch_kernel(folder: Path) -> Path:
    def run(*words: str) -> str:
        return subprocess.run(
            words, cwd=folder, check=True, capture_output=True, text=True, timeout=300
        ).stdout

    try:
        depends = run("apt-cache", "depends", "linux-image-cloud-amd64")
        name = re.findall(r"Depends: (\S+)", depends)[0]
        run("apt-get", "-qq", "download", name)
        package = next(iter(folder.glob("linux-image-*.deb")))
        run("dpkg", "-x", package.name, "unpacked")
        kernel = next(iter(folder.glob("unpacked/boot/vmlinuz-*")))
        target = kernel.rename(folder / kernel.name)
    except (OSError, subprocess.SubprocessError, IndexError, StopIteration) as error:
        text = f"there is no kernel to boot: set {KERNEL_VARIABLE}, or see to apt-get: {error}"
        raise CannotRun(text) from error
    finally:
        shutil.rmtree(folder / "unpacked", ignore_errors=True)
    package.unlink()
    return target


def _libraries(files: Iterable[Path]) -> Iterator[Path]:
    """Yield the shared libraries that files are linked with."""
    seen: set[str] = set()
    for path in files:
        told = subprocess.run(["ldd", str(path)], capture_output=True, text=True)
        for name in re.findall(r"(/\S+) \(0x", told.stdout):
            if name not in seen:
                seen.add(name)
                yield Path(name)


def build(path: Path) -> None:
    """Write the disk of the machine."""
    archive = Archive(path)
    interpreter = Path(sys.executable).resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    site = Path(sysconfig.get_path("purelib"))
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    for folder in ("proc", "sys", "tmp"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add_file(interpreter)
    archive.add_tree(standard)
    for package in _PACKAGES:
        archive.add_tree(site / package, f"/site/{package}")
    archive.add_tree(Path(trignb.__file__).parent, "/site/trignb")
    linked = [interpreter, *standard.glob("lib-dynload/*.so")]
    linked += [p for name in _PACKAGES for p in (site / name).rglob("*.so*")]
    for library in _libraries(linked):
        if not library.is_relative_to(site):
            archive.add_file(library)
    init = f"#!{interpreter} -B\n".encode() + (HERE / "guest.py").read_bytes()
    archive.add("init", stat.S_IFREG | 0o755, init)
    archive.add_file(HERE / "scenes.py", "/scenes.py")
    archive.close()


class Machine:
    """What the scenes came to on a CPU: `status` by name, `flags` it had, `log` of the console."""

    def __init__(self, folder: Path, scenes: Iterable[str], cpu: str = "max") -> None:
        if platform.machine() != "x86_64" or shutil.which(QEMU) is None:
            raise CannotRun(MISSING)
        disk = folder / "disk.cpio"
        if not disk.exists():
            build(disk)
        self.log = self._run(find_kernel(), disk, scenes, cpu)
        self.has_keys = "ospke" in self.log.partition("FLAGS")[2].split("\n")[0]
        self.status = {name: int(code) for name, code in _ENDED.findall(self.log)}
        self.is_complete = "ALL ENDED" in self.log

    @staticmethod
    def _run(kernel: Path, disk: Path, scenes: Iterable[str], cpu: str) -> str:
        command = [QEMU, "-accel", "tcg,thread=multi", "-cpu", cpu, "-smp", "2"]
        command += ["-m", "3072", "-nographic", "-no-reboot", "-nodefaults"]
        command += ["-serial", "stdio", "-kernel", str(kernel), "-initrd", str(disk)]
        told = f"console=ttyS0 quiet panic=-1 mitigations=off scenes={','.join(scenes)}"
        command += ["-append", told]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S
        )
        return (done.stdout + done.stderr).decode("utf-8", "replace").replace("\r", "")
