# SPDX-License-Identifier: BSD-3-Clause
"""Debian root folders: user space of the guests, compilers of their kernels, and (trixie) QEMU.

mmdebstrap makes them as root. A root is never changed afterwards: guests and builds see it through
an overlay.
"""

import inspect
import shutil
from pathlib import Path

import debian
from cache import Entry

HERE = Path(__file__).resolve().parent

# passwd makes the ordinary user; gcc and make build kernel modules; libhugetlbfs-bin has hugeadm,
# dmsetup and e2fsprogs put drives to use.
PACKAGES = """
    busybox-static dmsetup e2fsprogs iproute2 jq kmod libhugetlbfs-bin libjansson4 libnuma1 numactl
    nvme-cli passwd pciutils procps strace udev gcc libc6-dev make pahole
""".split()
DEBUG_KERNEL = "bc bison flex libelf-dev lz4 perl xz-utils".split()
# apt does not see by itself that QEMU of backports needs the SeaBIOS of backports.
QEMU = [
    f"{package}/trixie-backports"
    for package in ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")
]
INCLUDE = {"bookworm": PACKAGES, "trixie": PACKAGES + ["fio"] + DEBUG_KERNEL + QEMU}
USER = "lab"
HOOKS = [f'chroot "$1" useradd --create-home --shell /bin/bash {USER}']


def entry(suite):
    def build(folder):
        debian.install_on_host(["mmdebstrap"])
        # The root's apt reaches the mirror as the machine's does.
        settings = folder.with_suffix(".apt.conf")
        settings.write_text(debian.acquire_settings())
        options = "--mode=root --variant=minbase --format=directory".split()
        options += [f"--aptopt={settings}", "--include=" + ",".join(INCLUDE[suite])]
        options += [f"--customize-hook={hook}" for hook in HOOKS]
        try:
            debian.run(["mmdebstrap", *options, suite, folder, *debian.sources(suite)])
        finally:
            settings.unlink()

    return Entry(f"root-{suite}", [INCLUDE[suite], HOOKS, inspect.getsource(build)], build)


def inside(cache, layers, shares, argv):
    """The command line that runs argv, as root, in the overlay of layers (the first on top) with
    the folders in shares at their own paths. What it writes elsewhere is thrown away."""
    scratch = cache.folder / "mnt"
    scratch.mkdir(exist_ok=True)
    return [
        "unshare",
        "--mount",
        "--propagation=private",
        HERE / "chroot.sh",
        scratch,
        ":".join(map(str, layers)),
        *shares,
        "--",
        *argv,
    ]


def busybox(root):
    """The root's static busybox: it runs on any machine."""
    return next(
        path for path in (root / "usr/bin/busybox", root / "bin/busybox") if shutil.which(path)
    )
