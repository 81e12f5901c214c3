#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the kernel's selftests/vfio in a guest: selftests.py TREE BUILD KERNEL in-tree|weir SECONDS

The programs are built, unmodified, from the distribution's source package of Linux 7.2, and are kept
in the lab's cache. Prints TAP, one line for each variant of a test, and a table of all results at
the end. The kernel's own modules are run as a baseline, of what needs no more than groups and type 1:
there is no /dev/iommu, and what they fail is TODO.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parents[2] / "tools/guest.d"))

# pylint: disable=wrong-import-position
import debian
import kernels
import roots
from cache import Cache, Entry

SCRIPT = HERE / "selftests_build.sh"
# Variants by the interface they run over; the others need /dev/iommu and devices' own nodes.
TYPE1 = re.compile(r"vfio_type1(v2)?_iommu")
# What each program has that passes with all of the interfaces there; the rest asks for hardware, or
# pages of 1 GiB, that the guest is without.
PASS = {
    "vfio_dma_mapping_test": 25,
    "vfio_dma_mapping_mmio_test": 15,
    "vfio_pci_device_init_perf_test": 5,
    "vfio_pci_device_test": 3,
    "vfio_iommufd_setup_test": 6,
}


def entry(cache):
    def build(folder):
        tarball = cache.get(kernels.source(cache)) / f"usr/src/{kernels.SOURCE}.tar.xz"
        root = cache.get(roots.entry("trixie"))
        work = folder / "work"
        work.mkdir()
        kernels.with_apt(cache, lambda apt: apt.unpack(["uuid-dev"], work))
        debian.run(
            roots.inside(
                cache, [root], [HERE, tarball.parent, folder], [SCRIPT, tarball, work, folder]
            )
        )
        shutil.rmtree(work)

    return Entry("selftests-vfio", [SCRIPT.read_text(), kernels.SOURCE], build)


def programs(build):
    """The programs, where a guest sees them."""
    cache = Cache()
    with cache.in_use():
        source = cache.get(entry(cache))
        target = build / "selftests"
        target.mkdir(exist_ok=True)
        for program in source.glob("vfio_*_test"):
            # Another guest may be running it.
            part = target / f"{program.name}.{os.getpid()}"
            shutil.copy2(program, part)
            part.rename(target / program.name)
    return target


def parse(output):
    """[(program, variant, result)] and [(program, exit status)]"""
    results, statuses, program = [], [], None
    for line in output.splitlines():
        if match := re.match(r"# program (\S+)", line):
            program = match[1]
        elif match := re.match(r"# status (\d+)", line):
            statuses.append((program, int(match[1])))
        elif match := re.match(r"(ok|not ok) \d+ (.*)", line):
            name, skip = match[2], "# SKIP" in line
            result = "skip" if skip else "pass" if match[1] == "ok" else "FAIL"
            results.append((program, name.split(" #")[0].strip(), result))
    return results, statuses


def table(results):
    lines = [f"# {'program':34} {'interface':16} {'pass':>5} {'skip':>5} {'fail':>5}"]
    rows = {}
    for program, variant, result in results:
        interface = "groups, type 1" if TYPE1.search(variant) else "/dev/iommu"
        row = rows.setdefault((program, interface), {"pass": 0, "skip": 0, "FAIL": 0})
        row[result] += 1
    for (program, interface), row in rows.items():
        counts = f"{row['pass']:5} {row['skip']:5} {row['FAIL']:5}"
        lines.append(f"# {program:34} {interface:16} {counts}")
    return "\n".join(lines)


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    tree, build, kernel, whose, seconds = sys.argv[1:]
    build = Path(build).resolve()
    run = [HERE / "run.sh", tree, build, kernel, whose, seconds]
    run += ["--append", "hugepages=64", "--", "selftests.sh", programs(build)]
    done = subprocess.run(run, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    results, statuses = parse(done.stdout)
    wanted = [result for result in results if whose == "weir" or TYPE1.search(result[1])]
    failed = 0
    for number, (program, variant, result) in enumerate(wanted, 1):
        note = ""
        if result == "FAIL" and whose == "in-tree":
            note = " # TODO the kernel's own modules"
        elif result == "FAIL":
            failed += 1
        elif result == "skip":
            note = " # SKIP the program skips it"
        print(f"{'not ok' if result == 'FAIL' else 'ok'} {number} - {program} {variant}{note}")
    # A program that crashed, or never ran, has fewer lines than it should have.
    count = len(wanted) + 1
    ended = [program for program, status in statuses if status in (0, 1, 4)]
    whole = ended == list(PASS) and wanted
    print(f"{'ok' if whole else 'not ok'} {count} - all programs ran to their end: {statuses}")
    if not whole:
        failed += 1
        print("".join(f"# {line}\n" for line in done.stdout.splitlines()[-40:]), end="")
    if whose == "weir":
        count += 1
        passed = Counter(program for program, _, result in results if result == "pass")
        print(f"{'ok' if passed == PASS else 'not ok'} {count} - as many passed as there are")
        failed += passed != PASS
    count += 1
    print(f"{'ok' if done.returncode == 0 else 'not ok'} {count} - the run, kernel log included")
    print(f"1..{count}")
    print(table(results))
    return 1 if failed or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
