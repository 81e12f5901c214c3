#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests the parts of tools/guest that need no guest."""

import fcntl
import json
import multiprocessing
import os
import re
import shutil
import socket
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools/guest.d"))

# pylint: disable=wrong-import-position
import debian
import devices
import initramfs
import kernellog
import kernels
import machine
import monitor
import roots
import runner
from cache import Cache, Entry, LabError


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)


def build_slowly(folder, counter):
    """An entry's build in two steps; leaves a line in counter for each time it ran."""
    with open(counter, "a", encoding="utf-8") as log:
        log.write("built\n")
    (folder / "first").touch()
    multiprocessing.Event().wait(0.3)
    (folder / "second").touch()


def get_entry(folder, counter, results):
    entry = Entry("thing", ["recipe"], lambda into: build_slowly(into, counter))
    got = Cache(folder, may_build=True).get(entry)
    results.put(sorted(path.name for path in got.iterdir()))


class CacheTest(Folder):
    def cache(self):
        return Cache(self.folder / "cache", may_build=True)

    def test_concurrent_builders_build_once(self):
        (self.folder / "cache").mkdir()
        results = multiprocessing.Queue()
        counter = self.folder / "counter"
        workers = [
            multiprocessing.Process(
                target=get_entry, args=(self.folder / "cache", counter, results)
            )
            for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        for _ in workers:
            self.assertEqual(results.get(timeout=20), ["first", "second"])
        for worker in workers:
            worker.join()
        self.assertEqual(counter.read_text(), "built\n")

    def test_failed_build_is_not_complete(self):
        def fail(folder):
            (folder / "half").touch()
            raise LabError("no")

        cache = self.cache()
        with cache.in_use():
            with self.assertRaises(LabError):
                cache.get(Entry("thing", [], fail))
            self.assertFalse(cache.has(Entry("thing", [], fail)))
            whole = cache.get(Entry("thing", [], lambda folder: (folder / "whole").touch()))
        self.assertEqual([path.name for path in whole.iterdir()], ["whole"])

    def test_changed_recipe_is_another_entry(self):
        self.assertNotEqual(Entry("thing", ["a"], None).name, Entry("thing", ["b"], None).name)
        self.assertEqual(Entry("thing", ["a"], None).name, Entry("thing", ["a"], None).name)

    def test_clean(self):
        cache = self.cache()
        keep, drop = (Entry(name, [], lambda folder: None) for name in ("keep", "drop"))
        with cache.in_use():
            cache.get(keep)
            cache.get(drop)
            with self.assertRaisesRegex(LabError, "in use"):
                cache.clean([keep])
            self.assertTrue(cache.has(drop))
        cache.clean([keep])
        self.assertTrue(cache.has(keep))
        self.assertFalse(cache.has(drop))

    def test_who_may_not_build_is_told_how(self):
        cache = Cache(self.folder, may_build=False)
        with self.assertRaisesRegex(LabError, "takes root"):
            cache.get(Entry("thing", [], lambda folder: None))

    def test_lock_of_another_user(self):
        with Cache(self.folder).in_use():
            with open(self.folder / "lock", encoding="utf-8") as lock:
                with self.assertRaises(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_folder_that_qemu_and_overlayfs_cannot_name(self):
        with self.assertRaisesRegex(LabError, "comma"):
            Cache("/tmp/a,b")


class RecipeTest(Folder):
    """A changed recipe is built anew, with what was made from it, and nothing else is."""

    def names(self):
        cache = Cache(self.folder, may_build=False)
        entries = [roots.entry(suite) for suite in debian.SUITES]
        for name in kernels.KERNELS:
            entries += [kernels.entry(cache, name), initramfs.entry(cache, name)]
        return {entry.name.rpartition("-")[0]: entry.name for entry in entries}

    def changed_by(self, change):
        before = self.names()
        with change:
            after = self.names()
        return {name for name in before if before[name] != after[name]}

    def copied(self, module, name, text):
        """The module's files, with text added to one of them."""
        folder = self.folder / "files"
        shutil.copytree(module.HERE, folder, dirs_exist_ok=True)
        with open(folder / name, "a", encoding="utf-8") as file:
            file.write(text)
        return mock.patch.object(module, "HERE", folder)

    def test_packages_of_a_root(self):
        change = mock.patch.dict(roots.INCLUDE, {"trixie": roots.INCLUDE["trixie"] + ["sl"]})
        self.assertEqual(
            self.changed_by(change), {"root-trixie", "initramfs-7.2", "initramfs-7.2-debug"}
        )

    def test_configuration_of_the_debug_kernel(self):
        change = self.copied(kernels, "debug-kernel.config", "CONFIG_MD=y\n")
        self.assertEqual(self.changed_by(change), {"kernel-7.2-debug", "initramfs-7.2-debug"})

    def test_version_of_a_kernel(self):
        change = mock.patch.dict(kernels.KERNELS, {"6.1": ("bookworm", r"6\.1\.0-9-amd64")})
        self.assertEqual(self.changed_by(change), {"kernel-6.1", "initramfs-6.1"})

    def test_first_program_of_a_guest(self):
        change = self.copied(initramfs, "init.sh", "# more\n")
        self.assertEqual(
            self.changed_by(change), {f"initramfs-{name}" for name in kernels.KERNELS}
        )


class KernelLogTest(unittest.TestCase):
    BAD = {
        "WARN": "[    4.1] WARNING: CPU: 0 PID: 311 at provoke.c:62 init+0x1/0x2 [provoke]",
        "BUG": "[    4.1] BUG: sleeping function called from invalid context at provoke.c:51",
        "KASAN": "[    4.1][  T311] BUG: KASAN: slab-use-after-free in f+0x1/0x2 [provoke]",
        "UBSAN": "[    4.1] UBSAN: shift-out-of-bounds in provoke.c:33:2",
        "lockdep": "[    4.1] WARNING: possible circular locking dependency detected",
        "kmemleak": "unreferenced object 0xffff888103d6a000 (size 4096):",
        "DMAR fault": "[    4.1] DMAR: [DMA Write NO_PASID] Request device [00:17.0] fault addr "
        "0x200000 [fault reason 0x05] PTE Write access is not set",
        "DMA-API": "[    4.1] DMA-API: nvme 0000:03:00.0: device driver frees DMA memory twice",
        "debug objects": "[    4.1] ODEBUG: free active (active state 0) object: timer_list",
        "hang": "[  241.1] INFO: task sh:311 blocked for more than 60 seconds.",
        "panic": "[    4.1] Kernel panic - not syncing: No working init found.",
        "memory": "[    4.1] refcount_t: underflow; use-after-free.",
        "interrupt": '[    4.1] irq 21: nobody cared (try booting with the "irqpoll" option)',
    }
    GOOD = """[    0.5] DMAR: Intel(R) Virtualization Technology for Directed I/O
[    0.5] DMAR-IR: Queued invalidation will be enabled to support x2apic and Intr-remapping.
[    0.6] DMA-API: preallocated 65536 debug entries
[    0.6] DMA-API: debugging enabled by kernel config
[    0.6] kmemleak: Kernel memory leak detector initialized (mem pool available: 11449)
[    0.6] KernelAddressSanitizer initialized (generic)
[    0.7] Warning: unable to open an initial console.
[    0.7] pci_bus 0000:00: Unknown NUMA node; performance will be reduced
[    0.8] provoke: loading out-of-tree module taints kernel."""

    def test_each_kind_is_found(self):
        for kind, line in self.BAD.items():
            found = kernellog.scan(f"{self.GOOD}\n{line}\n{self.GOOD}")
            self.assertEqual([finding.kind for finding in found], [kind], line)

    def test_usual_lines_are_not_findings(self):
        self.assertEqual(kernellog.scan(self.GOOD), [])

    def test_findings_in_a_row_are_counted_and_shown_in_full(self):
        report = [
            self.BAD["WARN"],
            "[    4.1] Call Trace:",
            "[    4.1]  f+0x1/0x2",
            "[    4.1] ---[ end trace 0000000000000000 ]---",
        ]
        found = kernellog.scan(
            "\n".join([*report, "[    4.2] unrelated", *report, self.BAD["DMAR fault"]])
        )
        self.assertEqual([finding.kind for finding in found], ["WARN", "WARN", "DMAR fault"])
        self.assertEqual(found[0].lines, report[:3])

    LOCKS = """[   71.3] WARNING: possible circular locking dependency detected
[   71.3] 7.2.12-weir-debug #1 Not tainted
[   71.3] ------------------------------------------------------
[   71.3] irq/35-pciehp/64 is trying to acquire lock:
[   71.3] ff11 (&ctrl->reset_lock){.+.+}-{4:4}, at: pciehp_unconfigure_device+0x1dc/0x3a0
[   71.3]
               but task is already holding lock:
[   71.3] ff82 (pci_rescan_remove_lock){+.+.}-{4:4}, at: pci_lock_rescan_remove+0x12/0x20
[   71.3] the existing dependency chain (in reverse order) is:
[   71.3]  </TASK>"""

    OTHER_ORDER = """[   80.1] WARNING: possible circular locking dependency detected
[   80.1] irq/36-pciehp/70 is trying to acquire lock:
[   80.1] ff82 (pci_rescan_remove_lock){+.+.}-{4:4}, at: pci_lock_rescan_remove+0x12/0x20
[   80.1]
               but task is already holding lock:
[   80.1] ff11 (&ctrl->reset_lock){.+.+}-{4:4}, at: pciehp_configure_device+0x4f/0x2a0
[   80.1]  </TASK>"""

    def test_reports_about_the_kernel_itself_are_known(self):
        for report in (self.LOCKS, self.OTHER_ORDER):
            self.assertIn("hot-plug", kernellog.known(kernellog.scan(report)[0]))
        for part, other in (("(&ctrl->", "(&weir->"), ("(pci_rescan_", "(weir_")):
            found = kernellog.scan(self.LOCKS.replace(part, other))
            self.assertEqual([finding.kind for finding in found], ["lockdep"])
            self.assertIsNone(kernellog.known(found[0]))
        for line in self.BAD.values():
            self.assertIsNone(kernellog.known(kernellog.scan(line)[0]))

    def test_endless_report_is_cut(self):
        found = kernellog.scan(self.BAD["WARN"] + "\n[    4.1] f" * 1000 + "\n" + self.BAD["UBSAN"])
        self.assertEqual([finding.kind for finding in found], ["WARN", "UBSAN"])
        self.assertEqual(len(found[0].lines), kernellog.LONGEST)


class RelayTest(unittest.TestCase):
    def setUp(self):
        self.guest, guest = socket.socketpair()
        self.qemu, monitor_end = socket.socketpair()
        self.relay = monitor.Relay(guest, monitor_end)
        for end in (self.guest, guest, self.qemu, monitor_end):
            self.addCleanup(end.close)
            end.settimeout(5)
        guest.setblocking(False)
        monitor_end.setblocking(False)
        self.assertEqual(json.loads(self.qemu.recv(4096))["execute"], "qmp_capabilities")

    def ask(self, line):
        self.guest.sendall(line)
        return self.relay.from_guest()

    def answer(self):
        return json.loads(self.guest.recv(4096))

    def test_request_and_answer(self):
        self.ask(b'{"execute": "device_del", "arguments": {"id": "nvme0"}}\n')
        request = json.loads(self.qemu.recv(4096))
        self.assertEqual(
            (request["execute"], request["arguments"]), ("device_del", {"id": "nvme0"})
        )
        self.qemu.sendall(json.dumps({"return": {}, "id": request["id"]}).encode() + b"\n")
        self.relay.from_monitor()
        self.assertEqual(self.answer(), {"return": {}})

    def test_line_in_pieces(self):
        self.ask(b'{"execute": ')
        self.ask(b'"quit"}\n')
        self.assertEqual(json.loads(self.qemu.recv(4096))["execute"], "quit")

    def test_events_and_the_greeting_stay_with_the_runner(self):
        self.qemu.sendall(
            b'{"QMP": {}}\n{"return": {}, "id": "start"}\n{"event": "DEVICE_DELETED"}\n'
        )
        self.relay.from_monitor()
        self.guest.setblocking(False)
        with self.assertRaises(BlockingIOError):
            self.guest.recv(1)

    def test_what_is_no_request_is_refused(self):
        for line in (
            b"device_del nvme0\n",
            b"[1]\n",
            b'{"arguments": {}}\n',
            b'{"execute": 3}\n',
            b"\xff\xfe\n",
        ):
            self.ask(line)
            self.assertIn("error", self.answer(), line)

    def test_endless_line_is_refused(self):
        chunk = b"x" * 4096
        for _ in range(2 * monitor.LINE_LIMIT // len(chunk)):
            self.ask(chunk)
        self.assertLessEqual(len(self.relay.guest.rest), monitor.LINE_LIMIT)
        self.assertIn("error", self.answer())

    def test_closed_ends(self):
        self.guest.close()
        self.qemu.close()
        self.assertFalse(self.relay.from_guest())
        self.assertFalse(self.relay.from_monitor())


class JudgeTest(Folder):
    FAULT = KernelLogTest.BAD["DMAR fault"]

    def judge(self, status, log="", in_time=True, **options):
        (self.folder / "share").mkdir(exist_ok=True)
        (self.folder / "share/kernel.log").write_text(log)
        (self.folder / "console.log").write_text("the console's last words")
        if status is not None:
            (self.folder / "share/status").write_text(f"{status}\n")
        job = runner.Job(
            kernel="6.1", devices=None, command=[], share=None, cwd=None, work=None, **options
        )
        guest = mock.Mock(job=job)
        guest.text = lambda name: runner.Guest.text(mock.Mock(folder=self.folder), name)
        guest.last_words = lambda: guest.text("console.log")
        with mock.patch("sys.stderr"):
            return runner.judge(guest, in_time)

    def test_status_is_the_commands(self):
        self.assertEqual(self.judge(0), 0)
        self.assertEqual(self.judge(7), 7)

    def test_findings_fail_the_run(self):
        self.assertEqual(self.judge(0, self.FAULT), runner.FINDINGS)
        self.assertEqual(self.judge(7, self.FAULT), 7)

    def test_known_reports_fail_no_run(self):
        self.assertEqual(self.judge(0, KernelLogTest.LOCKS), 0)
        more = KernelLogTest.LOCKS + "\n" + KernelLogTest.BAD["WARN"]
        self.assertEqual(self.judge(0, more), runner.FINDINGS)

    def test_expected_fault(self):
        self.assertEqual(self.judge(0, self.FAULT, expect_dmar_fault=True), 0)
        self.assertEqual(self.judge(0, "", expect_dmar_fault=True), runner.FINDINGS)
        more = self.FAULT + "\n" + KernelLogTest.BAD["WARN"]
        self.assertEqual(self.judge(0, more, expect_dmar_fault=True), runner.FINDINGS)

    def test_leaks_fail_the_run(self):
        self.judge(0)
        (self.folder / "share/kmemleak").write_text(KernelLogTest.BAD["kmemleak"])
        self.assertEqual(self.judge(0), runner.FINDINGS)

    def test_time_is_up(self):
        self.assertEqual(self.judge(None, in_time=False), runner.TIME_IS_UP)

    def test_guest_that_died(self):
        with self.assertRaisesRegex(LabError, "last words"):
            self.judge(None)


class RetryTest(Folder):
    def run_with(self, outcomes):
        boots = []

        def boot(_cache, job, folder):
            guest = mock.Mock(job=job)
            guest.wait = mock.Mock(side_effect=[outcomes[len(boots)]])
            guest.text = lambda name: "0" if name.endswith("status") else ""
            boots.append(guest)
            return guest

        job = runner.Job(
            kernel="6.1", devices=None, command=[], share=None, cwd=None, work=self.folder / "work"
        )
        with mock.patch("runner.Guest", boot), mock.patch("sys.stderr"):
            try:
                return runner.run(None, job), boots
            finally:
                for guest in boots:
                    guest.end.assert_called_once()

    def test_boot_without_banner_is_tried_again(self):
        status, boots = self.run_with([runner.NoBanner, True])
        self.assertEqual((status, len(boots)), (0, 2))

    def test_boots_without_banner_come_to_an_end(self):
        with self.assertRaisesRegex(LabError, "3 boots"):
            self.run_with([runner.NoBanner] * 4)


class PartsTest(Folder):
    def test_modules_are_loaded_after_what_they_need(self):
        (self.folder / "modules.dep").write_text(
            "kernel/fs/9p.ko.xz: kernel/net/9pnet.ko.xz kernel/fs/netfs.ko.xz\n"
            "kernel/net/9pnet.ko.xz:\nkernel/fs/netfs.ko.xz:\n"
            "kernel/net/9pnet_virtio.ko.xz: kernel/net/9pnet.ko.xz\n"
        )
        (self.folder / "modules.builtin").write_text("kernel/drivers/virtio/virtio-pci.ko\n")
        order = initramfs.load_order(self.folder, ["virtio_pci", "9pnet_virtio", "9p"])
        self.assertEqual(
            [Path(path).name for path in order],
            ["9pnet.ko.xz", "9pnet_virtio.ko.xz", "netfs.ko.xz", "9p.ko.xz"],
        )
        with self.assertRaisesRegex(LabError, "no module ext4"):
            initramfs.load_order(self.folder, ["ext4"])

    def test_newest_package_goes_by_numbers(self):
        names = (
            "linux-image-6.12.9+deb12-amd64 linux-image-6.12.90+deb12.1-amd64 "
            "linux-image-6.12.90+deb12-amd64 "
            "linux-image-6.12.95+deb12-rt-amd64 linux-image-6.12.107+deb13-amd64"
        )
        apt = mock.Mock(environment={}, folder="apt")
        with mock.patch("debian.output", return_value=names):
            newest = debian.Apt.newest(apt, r"linux-image-6\.12\.\d+\+deb12(\.\d+)?-amd64")
            self.assertEqual(newest, "linux-image-6.12.90+deb12.1-amd64")
            with self.assertRaises(LabError):
                debian.Apt.newest(apt, "linux-image-9")

    def test_suites_come_from_the_machines_mirror(self):
        targets = {
            "bookworm": ("http://mirror.test/debian", "/key"),
            "bookworm-security": ("http://security.test/debian-security", "/key2"),
        }
        with mock.patch("debian.configured_targets", return_value=targets):
            lines = debian.sources("trixie")
        self.assertEqual(
            lines,
            [
                "deb [signed-by=/key] http://mirror.test/debian trixie main",
                "deb [signed-by=/key] http://mirror.test/debian trixie-backports main",
                "deb [signed-by=/key2] http://security.test/debian-security trixie-security main",
            ],
        )
        with mock.patch("debian.configured_targets", return_value={}):
            with self.assertRaisesRegex(LabError, "no source"):
                debian.sources("trixie")

    def test_device_sets_name_each_thing_once(self):
        for name, device_set in devices.SETS.items():
            ids = re.findall(r"\bid=([^,]+)", " ".join(device_set.arguments))
            self.assertEqual(len(ids), len(set(ids)), name)
            for drive in device_set.drives:
                self.assertIn(f"node-name={drive},", " ".join(device_set.arguments), name)

    def test_commas_in_paths(self):
        self.assertEqual(machine.quoted("/a,b"), "/a,,b")


if __name__ == "__main__":
    os.environ.pop("WEIR_CACHE", None)
    unittest.main()
