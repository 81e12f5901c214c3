# SPDX-License-Identifier: BSD-3-Clause
"""The guests' kernels: each a folder to be laid over its suite's root: image, modules, headers.

Stock kernels are Debian's packages, unpacked. The debug kernel is built from Debian's source
package with debug-kernel.config by debug-kernel.sh.
"""

import fcntl
import functools
import inspect
import os
import shutil
import subprocess
from pathlib import Path

import roots
from cache import Entry, LabError, locked
from debian import Apt

HERE = Path(__file__).resolve().parent
DEBUG = "7.2-debug"
SOURCE = "linux-source-7.2"

# name: (suite of its root, pattern of its version; the newest that the suite has is taken)
KERNELS = {
    "6.1": ("bookworm", r"6\.1\.0-\d+-amd64"),
    "6.12": ("bookworm", r"6\.12\.\d+\+deb12(\.\d+)?-amd64"),
    "7.2": ("trixie", r"7\.2\.\d+\+deb13(\.\d+)?-amd64"),
    DEBUG: ("trixie", None),
}
PARTS = r"linux-(image|binary|modules|base|headers|kbuild)-\d"


def suite(name):
    return KERNELS[name][0]


def version(folder):
    """The version that uname -r will say."""
    names = [path.name for path in (folder / "usr/lib/modules").iterdir()]
    if len(names) != 1:
        raise LabError(f"{folder} holds {len(names)} kernels, not one")
    return names[0]


def image(folder):
    return folder / "usr/lib/modules" / version(folder) / "vmlinuz"


@functools.cache
def private_apt(folder):
    return Apt(folder)


def with_apt(cache, use):
    """Runs use(apt) with the private APT, one process at a time."""
    with locked(cache.folder / "apt.lock", fcntl.LOCK_EX):
        return use(private_apt(cache.folder / "apt"))


def finish(cache, name, folder):
    """Gives stock kernels one shape: all in usr/lib/modules/VERSION, and modules indexed."""
    if (folder / "lib").is_dir():
        shutil.copytree(folder / "lib", folder / "usr/lib", symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(folder / "lib")
    (folder / "lib").symlink_to("usr/lib")
    for boot_image in (folder / "boot").glob("vmlinuz-*"):
        boot_image.rename(image(folder))
    root = cache.get(roots.entry(suite(name)))
    subprocess.run(
        roots.inside(cache, [root], [folder], ["depmod", "-b", folder, version(folder)]), check=True
    )


def stock(cache, name):
    pattern = KERNELS[name][1]

    def unpack(apt, folder):
        image_package = apt.newest(f"linux-image-{pattern}")
        headers_package = image_package.replace("linux-image-", "linux-headers-")
        apt.unpack(apt.with_depends([image_package, headers_package], PARTS), folder)

    def build(folder):
        with_apt(cache, lambda apt: unpack(apt, folder))
        finish(cache, name, folder)

    recipe = [pattern, PARTS, inspect.getsource(finish), inspect.getsource(unpack)]
    return Entry(f"kernel-{name}", recipe, build)


def source(cache):
    def build(folder):
        with_apt(cache, lambda apt: apt.unpack([SOURCE], folder))

    return Entry(SOURCE, [SOURCE], build)


def debug(cache):
    script, fragment = HERE / "debug-kernel.sh", HERE / "debug-kernel.config"

    def build(folder):
        tarball = cache.get(source(cache)) / f"usr/src/{SOURCE}.tar.xz"
        root = cache.get(roots.entry(suite(DEBUG)))
        work = folder / "build"
        work.mkdir()
        argv = [script, tarball, fragment, work, folder]
        with open(folder.with_suffix(".log"), "w", encoding="utf-8") as log:
            done = subprocess.run(
                roots.inside(cache, [root], [HERE, tarball.parent, folder], argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                check=False,
            )
        if done.returncode:
            raise LabError(f"building the debug kernel failed: see {log.name}")
        os.unlink(log.name)
        shutil.rmtree(work)

    recipe = [script.read_text(), fragment.read_text(), SOURCE]
    return Entry(f"kernel-{DEBUG}", recipe, build)


def entry(cache, name):
    return debug(cache) if name == DEBUG else stock(cache, name)
