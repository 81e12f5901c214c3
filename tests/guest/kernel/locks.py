#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds Weir's modules to the order of locks in kernel/README.md:
locks.py TREE BUILD KERNEL SECONDS PART...

Runs parts of conform in a guest whose kernel has lockdep, and reads what lockdep has seen: for every
lock that was waited for, which ones were held then, in their order. lock-order.txt says which locks
there are and what every path takes. Prints TAP: each lock was taken; each path was; nothing was held
in another order.
"""

import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

HERE = Path(__file__).resolve().parent

# locks: {name: row} from outer to inner, and ours are those that are Weir's. paths: {name: [locks,
# ...]}. apart and may: {(outer, inner)}, what is never held together though the order has it, and
# what is although it has not.
Order = namedtuple("Order", "locks ours paths apart may")


class OrderError(Exception):
    pass


def read_order(text):
    order = Order({}, set(), {}, set(), set())
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("|")]
        locks = [name.strip() for name in fields[-1].split(" > ")]
        if fields[0] in ("lock", "kernel") and len(fields) == 3:
            order.locks[fields[2]] = fields[1]
            if fields[0] == "lock":
                order.ours.add(fields[2])
        elif strangers := [name for name in locks if name not in order.locks]:
            raise OrderError(f"line {number}: {strangers[0]} is no lock")
        elif fields[0] == "path" and len(fields) == 3:
            order.paths.setdefault(fields[1], []).append(locks)
        elif fields[0] in ("apart", "may") and len(fields) == 2 and len(locks) == 2:
            getattr(order, fields[0]).add(tuple(locks))
        else:
            raise OrderError(f"line {number}: not a lock, kernel, path, apart or may: {line}")
    return order


def read_chains(text):
    """The chains of /proc/lockdep_chains, names without subclass; and {name: {class, ...}}."""
    chains, classes = set(), {}
    for block in text.split("\n\n"):
        chain = []
        for line in block.splitlines():
            if match := re.match(r"\[([^\]]+)\] (.+?)(#\d+)?(/\d+)?$", line):
                chain.append(match[2])
                classes.setdefault(match[2], set()).add(match[1])
        if chain:
            chains.add(tuple(chain))
    return chains, classes


def is_within(locks, chain):
    """Whether the chain has the locks in this order, others between them or not."""
    rest = iter(chain)
    return all(lock in rest for lock in locks)


def violations(order, chains):
    """{(outer, inner): a chain that has it}, of pairs that the order does not allow."""
    rank = {name: number for number, name in enumerate(order.locks)}
    found = {}
    for chain in chains:
        held = []
        for inner in chain:
            if inner not in rank:
                continue
            # What the kernel does with its own locks alone is its own affair.
            ours = order.ours.intersection([*held, inner])
            for outer in held if ours else []:
                pair = (outer, inner)
                wrong = rank[outer] >= rank[inner] and pair not in order.may
                if wrong or pair in order.apart:
                    found.setdefault(pair, chain)
            held.append(inner)
    return found


def judge(order, chains, classes, stats):
    """[(passed, name, comment)]"""
    checks = []
    is_on = re.search(r"^ debug_locks: +1$", stats, re.M) is not None
    checks.append((is_on, "lockdep has been on to the end", ""))
    for name, row in order.locks.items():
        count = sum(name in chain for chain in chains)
        keys = len(classes.get(name, ()))
        passed = keys == 1 if name in order.ours else keys > 0
        comment = f"{count} chains" if passed else f"{keys} classes of locks have the name"
        checks.append((passed, f"row {row}: {name}: taken", comment))
    for name, sequences in order.paths.items():
        for locks in sequences:
            passed = any(is_within(locks, chain) for chain in chains)
            checks.append((passed, f"path '{name}': taken: {' -> '.join(locks)}", ""))
    wrong = violations(order, chains)
    for (outer, inner), chain in sorted(wrong.items()):
        text = f"{inner} is not taken with {outer} held"
        checks.append((False, text, " -> ".join(chain)))
    checks.append((not wrong, "no lock is taken against the order", ""))
    return checks


def report(checks):
    """Prints TAP; how many failed."""
    for number, (passed, name, comment) in enumerate(checks, 1):
        print(f"{'ok' if passed else 'not ok'} {number} - {name}")
        if comment:
            print(f"# {comment}")
    print(f"1..{len(checks)}")
    return sum(not passed for passed, _, _ in checks)


def main():
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    tree, build, kernel, seconds, *parts = sys.argv[1:]
    seen = Path(build).resolve() / "locks"
    seen.mkdir(exist_ok=True)
    for path in seen.iterdir():
        path.unlink()
    run = [HERE / "run.sh", tree, build, kernel, "weir", seconds, "--", "locks.sh", seen, *parts]
    done = subprocess.run(run, stdout=subprocess.PIPE, text=True, errors="replace", check=False)
    checks = [(done.returncode == 0, "the run, kernel log included", "")]
    if done.returncode:
        failed = [line for line in done.stdout.splitlines() if not line.startswith("ok")]
        checks[0] = (False, checks[0][1], "\n# ".join(failed[-40:]))
    names = ("lockdep_chains", "lockdep_stats")
    if all((seen / name).exists() for name in names):
        text, stats = ((seen / name).read_text() for name in names)
        order = read_order((HERE / "lock-order.txt").read_text())
        checks += judge(order, *read_chains(text), stats)
    else:
        checks.append((False, "the guest has left what lockdep has seen", ""))
    return 1 if report(checks) else 0


if __name__ == "__main__":
    sys.exit(main())
