# SPDX-License-Identifier: BSD-3-Clause
"""The initramfs: busybox, the modules that reach the shares, and init.sh, which mounts the root."""

import gzip
import inspect
import lzma
import shutil
import subprocess
import tempfile
from pathlib import Path

import kernels
import roots
from cache import Entry, LabError

HERE = Path(__file__).resolve().parent
MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"]


def load_order(modules, names):
    """Files below the kernel's module folder, dependencies first; what is built in needs none."""

    def stem(path):
        return Path(path).name.split(".ko")[0].replace("-", "_")

    depends = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        depends[stem(path)] = (path, needs.split())
    builtin = {stem(line) for line in (modules / "modules.builtin").read_text().split()}
    order = []
    for name in names:
        if name in builtin:
            continue
        if name not in depends:
            raise LabError(f"{modules.name} has no module {name}")
        path, needs = depends[name]
        for needed in [*reversed(needs), path]:
            if needed not in order:
                order.append(needed)
    return order


def entry(cache, name):
    kernel = kernels.entry(cache, name)
    root = roots.entry(kernels.suite(name))
    init = HERE / "init.sh"

    def build(folder):
        modules = cache.get(kernel) / "usr/lib/modules"
        modules /= kernels.version(cache.get(kernel))
        busybox = roots.busybox(cache.get(root))
        with tempfile.TemporaryDirectory(dir=folder) as tree:
            tree = Path(tree)
            for part in ("bin", "dev", "proc", "sys", "modules"):
                (tree / part).mkdir()
            shutil.copy(busybox, tree / "bin/busybox")
            shutil.copy(init, tree / "init")
            (tree / "init").chmod(0o755)
            for number, path in enumerate(load_order(modules, MODULES)):
                packed = modules / path
                data = lzma.open(packed).read() if packed.suffix == ".xz" else packed.read_bytes()
                (tree / "modules" / f"{number:02}-{packed.name.split('.ko')[0]}.ko").write_bytes(
                    data
                )
            names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
            archive = subprocess.run(
                [busybox, "cpio", "-o", "-H", "newc"],
                cwd=tree,
                input=names.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            ).stdout
        (folder / "initramfs").write_bytes(gzip.compress(archive))

    recipe = [kernel.name, root.name, init.read_text(), MODULES, inspect.getsource(build)]
    return Entry(f"initramfs-{name}", recipe, build)
