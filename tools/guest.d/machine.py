# SPDX-License-Identifier: BSD-3-Clause
"""The emulated machine: QEMU's command line around a device set."""

import json

import initramfs
import kernels
import roots

# no_timer_check: a loaded host delays the timer interrupts that the kernel tests at boot, and it
# panics. The watchdogs for stalls and lock-ups are patient: on an emulated processor they mostly
# say that the host is busy.
KERNEL_ARGUMENTS = (
    "console=ttyS0 loglevel=5 panic=-1 log_buf_len=8M no_timer_check mitigations=off "
    "hugepagesz=2M hugepages=128 rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 "
    "sysctl.kernel.hung_task_timeout_secs=60"
)

# TCG needs no hardware support, and stock kernels boot on it everywhere. ACPI hot-plug is off so
# that ports use PCIe's own, as servers do; its tables also take long to read in emulation.
MACHINE = """
    -machine q35 -accel tcg,thread=multi -smp 2,sockets=2,cores=1 -m 3G
    -numa node,nodeid=0,memdev=node0,cpus=0 -numa node,nodeid=1,memdev=node1,cpus=1
    -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off
    -nodefaults -display none -no-reboot
""".split()


def quoted(path):
    """A path as a value in QEMU's option lists."""
    return str(path).replace(",", ",,")


def emulator(cache):
    """QEMU out of the trixie root, with the loader, libraries and firmware found there."""
    root = cache.get(roots.entry("trixie"))
    libraries = root / "usr/lib/x86_64-linux-gnu"
    loader = [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries]
    firmware = ["-L", root / "usr/share/qemu", "-L", root / "usr/share/seabios"]
    argv = [*loader, root / "usr/bin/qemu-system-x86_64", *firmware]
    return argv, {"QEMU_MODULE_DIR": str(libraries / "qemu")}


def shares(folders):
    """9p shares {tag: (path, options)}, each a function of a slot that the device sets leave."""
    argv = []
    for function, (tag, (path, options)) in enumerate(folders.items()):
        backend = f"local,id={tag},path={quoted(path)},multidevs=remap,security_model=none{options}"
        device = f"virtio-9p-pci,fsdev={tag},mount_tag={tag},bus=pcie.0,addr=1c.{function}"
        argv += ["-fsdev", backend, "-device", f"{device},multifunction=on"]
    return argv


def memory(backend):
    """A memory backend for each node."""
    return [word for node in (0, 1) for word in ("-object", f"{backend},id=node{node},size=1536M")]


def vfio_user(sockets):
    """A device for each server of vfio-user, in the first slots that are free."""
    argv = []
    for number, path in enumerate(sockets):
        device = {"driver": "vfio-user-pci", "id": f"vfio-user{number}"}
        device["socket"] = {"type": "unix", "path": str(path)}
        argv += ["-device", json.dumps(device)]
    return argv


def channels(request_fd, monitor_fd):
    """The guest's request port and the runner's monitor; one more monitor in the run's folder."""
    return f"""
        -device virtio-serial-pci,id=ports,bus=pcie.0,addr=1d.0
        -device virtserialport,bus=ports.0,chardev=request,name=weir.request
        -chardev socket,id=request,fd={request_fd}
        -chardev socket,id=monitor,fd={monitor_fd}
        -object monitor-qmp,id=runner,chardev=monitor
        -qmp unix:qmp.sock,server=on,wait=off
    """.split()


def command_line(cache, job, run_folder, request_fd, monitor_fd):
    """argv and environment additions of the job's QEMU, to be started in its run folder."""
    kernel = cache.get(kernels.entry(cache, job.kernel))
    root = cache.get(roots.entry(kernels.suite(job.kernel)))
    initial = cache.get(initramfs.entry(cache, job.kernel)) / "initramfs"
    arguments = [KERNEL_ARGUMENTS, job.devices.kernel_arguments, *job.append]
    argv, environment = emulator(cache)
    # Servers map the guest's memory. Others get what costs less.
    argv += memory("memory-backend-memfd,share=on" if job.vfio_user else "memory-backend-ram")
    argv += [*MACHINE, "-cpu", job.devices.cpu, *job.devices.arguments]
    argv += vfio_user(job.vfio_user)
    argv += ["-kernel", kernels.image(kernel), "-initrd", initial, "-append", " ".join(arguments)]
    argv += ["-serial", "mon:stdio" if job.interactive else "file:console.log"]
    argv += shares(
        {
            "root": (root, ",readonly=on"),
            "kernel": (kernel, ",readonly=on"),
            "run": (run_folder / "share", ""),
            "share": (job.share, ""),
        }
    )
    argv += channels(request_fd, monitor_fd)
    return [str(word) for word in argv], environment
