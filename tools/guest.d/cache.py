# SPDX-License-Identifier: BSD-3-Clause
"""The lab's cache: folders that are built once and kept outside the source tree.

An entry is named after what it holds and a hash of its recipe, so a changed recipe is a new entry.
It is built in NAME.partial and renamed when complete: an entry that exists is whole. Builders of
one entry exclude each other by a lock on it. Everyone who uses entries holds the folder's lock
shared; clean takes it exclusively.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path


class LabError(Exception):
    """Something the user has to know; the command prints it and exits with status 125."""


def say(text):
    print(f"guest: {text}", file=sys.stderr, flush=True)


def default_folder():
    if os.environ.get("WEIR_CACHE"):
        return Path(os.environ["WEIR_CACHE"]).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base).absolute() / "weir"


@contextlib.contextmanager
def locked(path, how):
    """Holds a flock on path; to read another user's lock file is enough."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LabError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


class Entry:
    """One folder of the cache: its name, a hash of its recipe, and the function that fills it."""

    def __init__(self, name, recipe, build):
        key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
        self.name = f"{name}-{key}"
        self.build = build


class Cache:
    def __init__(self, folder=None, may_build=os.geteuid() == 0):
        self.folder = Path(folder) if folder else default_folder()
        self.may_build = may_build
        if any(c in str(self.folder) for c in ",:"):
            raise LabError(
                f"the cache folder {self.folder} must have no comma or colon in its name"
            )

    def in_use(self, how=fcntl.LOCK_SH):
        """Context in which no entry can be removed (shared) or is used by anybody (exclusive)."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return locked(self.folder / "lock", how)
        except OSError as error:
            raise LabError(
                f"the cache folder {self.folder} cannot be used: {error.strerror}"
            ) from error

    def has(self, entry):
        return (self.folder / entry.name).is_dir()

    def get(self, entry):
        """The folder of a complete entry; builds it when it is missing."""
        final = self.folder / entry.name
        if final.is_dir():
            return final
        if not self.may_build:
            raise LabError(
                f"{entry.name} is not in the cache, and building it takes root: "
                f"sudo WEIR_CACHE={self.folder} tools/guest build"
            )
        with locked(self.folder / f"{entry.name}.lock", fcntl.LOCK_EX):
            if final.is_dir():
                return final
            partial = self.folder / f"{entry.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            say(f"building {entry.name}")
            start = time.monotonic()
            entry.build(partial)
            partial.rename(final)
            say(f"built {entry.name} in {time.monotonic() - start:.0f} s")
        return final

    def clean(self, keep):
        """Removes all but the entries in keep; returns the names of what went."""
        names = {entry.name for entry in keep}
        try:
            with self.in_use(fcntl.LOCK_EX | fcntl.LOCK_NB):
                gone = [
                    path
                    for path in sorted(self.folder.iterdir())
                    if path.name != "lock" and path.name.removesuffix(".lock") not in names
                ]
                for path in gone:
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
        except BlockingIOError as error:
            raise LabError(f"the cache {self.folder} is in use by another run") from error
        return [path.name for path in gone]
