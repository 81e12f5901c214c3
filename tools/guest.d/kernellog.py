# SPDX-License-Identifier: BSD-3-Clause
"""Finds in a kernel log what must fail a run."""

import re
from collections import namedtuple

Report = namedtuple("Report", "kind starts ends")
Finding = namedtuple("Finding", "kind lines")

DMAR = "DMAR fault"
TRACE = r"---\[ end trace|</TASK>"
LONGEST = 50
KNOWN_LINES = 12

# The first report whose pattern is found in a line names its kind; it goes on to the line that ends
# it, if any.
REPORTS = [
    Report(kind, re.compile(starts), ends and re.compile(ends))
    for kind, starts, ends in (
        ("KASAN", r"BUG: KASAN:", r"^={20,}$"),
        ("UBSAN", r"UBSAN:", r"---\[ end trace"),
        (
            "lockdep",
            r"possible (circular|recursive|irq lock|deadlock)|inconsistent lock state"
            r"|suspicious RCU usage|bad unlock balance|held lock freed|non-static key"
            r"|lock held when returning to user space|DEBUG_LOCKS_WARN_ON",
            TRACE,
        ),
        (
            "kmemleak",
            r"^unreferenced object 0x|kmemleak: \d+ new suspected memory leaks",
            r"^(?!    )",
        ),
        (DMAR, r"DMAR: \[(DMA|INTR)|AMD-Vi: .*(Event logged|IO_PAGE_FAULT)", None),
        ("DMA-API", r"DMA-API: .*: (device driver|cacheline|mapping sg|exceeded)", TRACE),
        ("debug objects", r"ODEBUG:", TRACE),
        (
            "hang",
            r"INFO: task .* blocked for more than|detected stalls on|self-detected stall"
            r"|soft lockup|hard LOCKUP",
            TRACE,
        ),
        (
            "panic",
            r"Kernel panic|\bOops[:!]|general protection fault|kernel BUG at|stack-protector:",
            TRACE,
        ),
        (
            "memory",
            r"refcount_t:|(list_add|list_del) corruption|Bad page state|page allocation failure",
            TRACE,
        ),
        ("interrupt", r"irq \d+: nobody cared", TRACE),
        ("BUG", r"\bBUG\b", TRACE),
        ("WARN", r"^WARNING: ", TRACE),
    )
]

# Reports about the kernels themselves: what is wrong, and what the first lines of such a report have
# to say, all of it. They fail no run. Lockdep is off after its first report.
KNOWN = [
    (
        "hot-plug of PCIe ports takes its two locks in both orders",
        "lockdep",
        (
            r"pciehp/\d+ is trying to acquire lock",
            r"\(&ctrl->reset_lock\).* at: pciehp_\w+\+",
            r"already holding lock",
            r"\(pci_rescan_remove_lock\).* at: pci_lock_rescan_remove\+",
        ),
    ),
]

STAMP = re.compile(r"^\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")


def report_in(line):
    return next((report for report in REPORTS if report.starts.search(line)), None)


def known(finding):
    """What is wrong with the kernel itself, if this is a report that says so; else None."""
    lines = "\n".join(finding.lines[:KNOWN_LINES])
    for about, kind, patterns in KNOWN:
        if finding.kind == kind and all(re.search(pattern, lines) for pattern in patterns):
            return about
    return None


def scan(text):
    """All findings of a log, in its order, each with its lines."""
    lines = text.replace("\r", "").split("\n")
    findings = []
    open_report = None
    for line in lines:
        bare = STAMP.sub("", line)
        if open_report:
            finding = findings[-1]
            if open_report.ends.search(bare) or len(finding.lines) == LONGEST:
                open_report = None
            else:
                finding.lines.append(line)
                continue
        report = report_in(bare)
        if report:
            findings.append(Finding(report.kind, [line]))
            open_report = report if report.ends else None
    return findings
