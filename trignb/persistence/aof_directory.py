"""The directory of an append-only file: its manifest and names, held by one engine at a time."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

from trignb.engine.files import check_place, replace
from trignb.persistence.directory_lock import DirectoryLock
from trignb.persistence.manifest import Manifest, Part, sync_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AofDirectory"]

logger = logging.getLogger(__name__)


class AofDirectory:
    """A directory that is ours until `close`.

    Parameters
    ----------
    values : mapping
        Parameters by name: ``dir``, ``appenddirname``, ``appendfilename``.

    Attributes
    ----------
    path : str
        The directory.
    file_name : str
        What the names in it begin with.
    manifest : Manifest
        Which files there are; what earlier writers left half done is gone.

    Raises
    ------
    AofError
        When another engine has it, or its manifest is damaged.
    OSError
        When it cannot be read or written.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        home = str(values["dir"])
        self.path = _place(values)
        self.file_name = str(values["appendfilename"])
        os.makedirs(self.path, exist_ok=True)
        self._lock = DirectoryLock(self.file(f"{self.file_name}.lock"))
        try:
            self._remove_leftovers()
            found = Manifest.read(self.file(self._manifest_name))
            self.manifest = found or Manifest()
            if found is None:
                self._adopt(os.path.join(home, self.file_name))
            self.remove_history()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def exists(values: Mapping[str, Any]) -> bool:
        """Whether there is such a directory, without making one."""
        return os.path.isdir(_place(values))

    # -- names

    def file(self, name: str) -> str:
        """Return the path of a file."""
        return os.path.join(self.path, name)

    @property
    def _manifest_name(self) -> str:
        return f"{self.file_name}.manifest"

    @property
    def temporary_increment(self) -> str:
        """What is written to until a first rewrite has ended."""
        return self.file(f"temp-{self.file_name}.incr")

    def temporary_base(self, number: int) -> str:
        """Return the path a rewrite writes to."""
        return self.file(f"temp-rewriteaof-bg-{os.getpid()}-{number}.aof")

    # -- changing

    def write(self, manifest: Manifest) -> None:
        """Make a manifest the one that holds; raises OSError, the old one holds then."""
        manifest.write(self.path, self._manifest_name)
        self.manifest = manifest

    def remove_history(self) -> None:
        """Remove the files that a rewrite has made superfluous."""
        if self.manifest.history:
            self.unlink_history(self.manifest)
            self.write(self.manifest.without_history())

    def unlink_history(self, manifest: Manifest) -> None:
        """Remove those files alone, which may take a while; needs no lock."""
        for part in manifest.history:
            with contextlib.suppress(FileNotFoundError):
                check_place(self.file(part.name))
                os.unlink(self.file(part.name))

    def _remove_leftovers(self) -> None:
        for name in os.listdir(self.path):
            if name.startswith(("temp-rewriteaof-", f"temp-{self.file_name}.")):
                os.unlink(self.file(name))

    def _adopt(self, path: str) -> None:
        """Make the one file of a Redis before 7 the base, if there is one."""
        if not os.path.isfile(path):
            return
        replace(path, self.file(self.file_name))
        self.write(Manifest(base=Part(self.file_name, 1), base_seq=1))
        sync_directory(os.path.dirname(path))
        logger.info("Successfully migrated an old-style AOF file into %s", self.path)

    def close(self) -> None:
        """Let others have it."""
        self._lock.close()


def _place(values: Mapping[str, Any]) -> str:
    return os.path.join(str(values["dir"]), str(values["appenddirname"]))
