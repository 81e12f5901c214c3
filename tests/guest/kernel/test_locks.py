#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests locks.py, which judges what lockdep has seen, and that lock-order.txt is kernel/README.md's."""

import re
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

# pylint: disable=wrong-import-position
import locks

README = HERE.parents[2] / "kernel/README.md"

ORDER = """
lock | 1 | outer
kernel | 2 | &kernel->lock
lock | 3 | inner
path | go | outer > inner
apart | outer > &kernel->lock
"""
CHAINS = """all lock chains:
irq_context: 0
[1a] outer
[2b] other#2
[3c] inner/1

irq_context: softirq
[4d] &kernel->lock
[3c] inner

"""
STATS = " debug_locks:                             1\n"


def table(title):
    """The rows below a title of the README, each a list of cells."""
    section = README.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        self.order = locks.read_order((HERE / "lock-order.txt").read_text())

    def test_locks_are_those_of_the_readme(self):
        wanted = [(row[0], name) for row in table("Locks") for name in re.findall("`(.+?)`", row[2])]
        found = [(row, name) for name, row in self.order.locks.items() if row != "-"]
        self.assertEqual(found, wanted)

    def test_paths_are_those_of_the_readme(self):
        self.assertEqual(list(self.order.paths), [row[0] for row in table("Paths")])

    def test_paths_go_by_the_order(self):
        chains = {tuple(chain) for chains in self.order.paths.values() for chain in chains}
        self.assertEqual(locks.violations(self.order, chains), {})


class JudgeTest(unittest.TestCase):
    def failed(self, old="", new="", stats=STATS):
        self.assertIn(old, CHAINS)
        chains, classes = locks.read_chains(CHAINS.replace(old, new))
        checks = locks.judge(locks.read_order(ORDER), chains, classes, stats)
        return [name for passed, name, _ in checks if not passed]

    def test_what_is_as_it_should_be_passes(self):
        self.assertEqual(self.failed(), [])

    def test_a_lock_that_was_not_taken(self):
        self.assertEqual(
            self.failed("[1a] outer\n"), ["row 1: outer: taken", "path 'go': taken: outer -> inner"]
        )

    def test_two_locks_of_one_name(self):
        self.assertEqual(self.failed("[3c] inner/1", "[5e] inner"), ["row 3: inner: taken"])

    def test_a_path_that_was_not_taken(self):
        self.assertEqual(
            self.failed("[3c] inner/1\n"), ["path 'go': taken: outer -> inner"]
        )

    def test_the_wrong_order(self):
        wrong = "no lock is taken against the order"
        self.assertEqual(
            self.failed("[4d] &kernel->lock\n[3c] inner", "[3c] inner\n[4d] &kernel->lock"),
            ["&kernel->lock is not taken with inner held", wrong],
        )
        self.assertEqual(
            self.failed("[2b] other#2", "[4d] &kernel->lock"),
            ["&kernel->lock is not taken with outer held", wrong],
        )
        self.assertEqual(
            self.failed("[2b] other#2", "[1a] outer"), ["outer is not taken with outer held", wrong]
        )

    def test_what_the_kernel_does_is_not_judged(self):
        self.assertEqual(self.failed("[4d] &kernel->lock\n", "[4d] &kernel->lock\n" * 2), [])

    def test_lockdep_that_is_off(self):
        self.assertEqual(
            self.failed(stats=STATS.replace("1", "0")), ["lockdep has been on to the end"]
        )


class OrderTest(unittest.TestCase):
    def test_what_is_wrong_is_said(self):
        for line in ("path | go | nobody > inner", "may | outer", "lock | 1", "apart | inner"):
            with self.subTest(line), self.assertRaisesRegex(locks.OrderError, "line 8"):
                locks.read_order(f"{ORDER}\n{line}\n")


if __name__ == "__main__":
    unittest.main()
