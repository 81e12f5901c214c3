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

# passwd makes the ordinary user; gcc and make build kernel modules, dkms does so when they are
# installed, sparse reads them; libhugetlbfs-bin has hugeadm, dmsetup and e2fsprogs put drives to use.
PACKAGES = """
    busybox-static dmsetup e2fsprogs iproute2 jq kmod libhugetlbfs-bin libjansson4 libnuma1 numactl
    nvme-cli passwd pciutils procps strace udev gcc libc6-dev make pahole dkms sparse
""".split()
DEBUG_KERNEL = "bc bison flex libelf-dev lz4 perl xz-utils".split()
# apt does not see by itself that QEMU of backports needs the SeaBIOS of backports.
QEMU = [
    f"{package}/trixie-backports"
    for package in ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")
]
# dpdk-testpmd is in dpdk-dev, which takes headers, static libraries, all drivers and Python along:
# 200 MB. The program needs the libraries alone; the drivers are those of the lab's network cards.
# Patterns, because the packages' names end in a number that differs between suites.
TESTPMD = [
    "?reverse-depends(?exact-name(dpdk-dev)) ?name(^librte-)",
    '?name("^librte-(net-e1000-|mempool-ring)[0-9]+$")',
]
TESTPMD_HOOK = """
    cd "$1/tmp" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download dpdk-dev &&
    dpkg-deb --fsys-tarfile dpdk-dev_*.deb | tar -x -C "$1" ./usr/bin/dpdk-testpmd &&
    rm dpdk-dev_*.deb
"""
INCLUDE = {"bookworm": PACKAGES, "trixie": PACKAGES + ["fio"] + DEBUG_KERNEL + QEMU}
USER = "lab"
HOOKS = [f'chroot "$1" useradd --create-home --shell /bin/bash {USER}', TESTPMD_HOOK]


def entry(suite):
    def build(folder):
        debian.install_on_host(["mmdebstrap"])
        # The root's apt reaches the mirror as the machine's does.
        settings = folder.with_suffix(".apt.conf")
        settings.write_text(debian.acquire_settings())
        options = "--mode=root --variant=minbase --format=directory".split()
        options += [f"--aptopt={settings}", "--include=" + ",".join(INCLUDE[suite])]
        options += [f"--include={pattern}" for pattern in TESTPMD]
        options += [f"--customize-hook={hook}" for hook in HOOKS]
        try:
            debian.run(["mmdebstrap", *options, suite, folder, *debian.sources(suite)])
        finally:
            settings.unlink()

    return Entry(f"root-{suite}", [INCLUDE[suite], TESTPMD, HOOKS, inspect.getsource(build)], build)


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
