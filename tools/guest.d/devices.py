# SPDX-License-Identifier: BSD-3-Clause
"""Device sets: what the guests' PCI tree holds, as QEMU options.

Ids are what device_del and device_add (guest-request) take; serial numbers and addresses are what a
guest sees. A port per endpoint gives each its own IOMMU group. docs/guest-lab.md shows the tree.
"""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass
class Set:
    about: str
    cpu: str
    kernel_arguments: str
    arguments: list
    drives: dict  # {name: bytes}


def port(name, address, bus="pcie.0"):
    """A root port; its address serves as its slot number, and is unique in this file for that."""
    slot = f"addr={address:#x},chassis={address},slot={address}"
    return ["-device", f"pcie-root-port,id={name},bus={bus},{slot}"]


def drive(name):
    """A backend that outlives its device: a test may take the device out and plug it in again."""
    file = f"file.driver=file,file.filename=drives/{name}.img"
    return ["-blockdev", f"driver=raw,node-name={name},{file}"]


def wire(number, *ends):
    """Network backends that are connected to each other."""
    return [word for end in ends for word in ("-netdev", f"hubport,hubid={number},id={end}-wire")]


def nic(model, name, bus, number, more=""):
    options = f"id={name},bus={bus},netdev={name}-wire,mac=52:54:00:00:00:{number:02x},romfile="
    return ["-device", f"{model},{options}{more}"]


# Below one switch, for peer-to-peer: an NVMe with a CMB, plain memory behind a BAR, a free port.
SWITCH = [
    *port("rp1", 0x10),
    *"-device x3130-upstream,id=up1,bus=rp1".split(),
    *"-device xio3130-downstream,id=dn1,bus=up1,chassis=101,slot=101".split(),
    *"-device xio3130-downstream,id=dn2,bus=up1,chassis=102,slot=102".split(),
    *"-device xio3130-downstream,id=dn3,bus=up1,chassis=103,slot=103".split(),
    *drive("disk0"),
    *"-device nvme,id=nvme0,serial=weir-nvme0,drive=disk0,cmb_size_mb=16,bus=dn1".split(),
    *"-object memory-backend-memfd,id=shared0,share=on,size=64M".split(),
    *"-device ivshmem-plain,id=ivshmem0,memdev=shared0,bus=dn2".split(),
]
# Two namespaces, of 512-byte and of 4 KiB blocks.
NAMESPACES = [
    *port("rp2", 0x11),
    *drive("disk1"),
    *drive("disk2"),
    *"-device nvme,id=nvme1,serial=weir-nvme1,bus=rp2".split(),
    *"-device nvme-ns,drive=disk1,bus=nvme1,nsid=1".split(),
    "-device",
    "nvme-ns,drive=disk2,bus=nvme1,nsid=2,logical_block_size=4096,physical_block_size=4096",
]
# On NUMA node 1, below a host bridge of its own.
NODE1 = [
    *"-device pxb-pcie,id=pxb1,bus=pcie.0,addr=0x12,bus_nr=0x80,numa_node=1".split(),
    *port("rp3", 0x1, "pxb1"),
    *drive("disk3"),
    *"-device nvme,id=nvme2,serial=weir-nvme2,drive=disk3,bus=rp3".split(),
]
# The same, where the IOMMU does not see it.
BYPASS = [word.replace("pxb-pcie,", "pxb-pcie,bypass_iommu=on,") for word in NODE1]
# igb to igb, e1000e to virtio-net.
NETWORK = [
    *wire(0, "igb0", "igb1"),
    *wire(1, "e1000e0", "virtio0"),
    *port("rp4", 0x13),
    *nic("igb", "igb0", "rp4", 0),
    *port("rp5", 0x14),
    *nic("igb", "igb1", "rp5", 1),
    *port("rp6", 0x15),
    *nic("e1000e", "e1000e0", "rp6", 2),
    *port("rp7", 0x16),
    *nic("virtio-net-pci", "virtio0", "rp7", 3, ",disable-legacy=on,iommu_platform=on"),
]
# Three igb on one wire: two to be forwarded between, and one that brings packets in.
FORWARD = [
    *wire(0, "igb0", "igb1", "igb2"),
    *port("rp4", 0x13),
    *nic("igb", "igb0", "rp4", 0),
    *port("rp5", 0x14),
    *nic("igb", "igb1", "rp5", 1),
    *port("rp8", 0x18),
    *nic("igb", "igb2", "rp8", 2),
]
# A device whose DMA engine copies to and from any address it is told, and an empty port.
OTHERS = [*"-device edu,id=edu0,bus=pcie.0,addr=0x17".split(), *port("rp8", 0x18)]
# In that port, four functions of one device, which are reset together. The first two are in one group; a 82576 is
# known to keep its peers apart, so the others have one each.
FUNCTIONS = [
    *wire(2, "igb2", "igb3"),
    *"-device nvme,id=nvme3,serial=weir-nvme3,bus=rp8,addr=0.0,multifunction=on".split(),
    *"-device nvme,id=nvme4,serial=weir-nvme4,bus=rp8,addr=0.1".split(),
    *nic("igb", "igb2", "rp8", 4, ",addr=0.2"),
    *nic("igb", "igb3", "rp8", 5, ",addr=0.3"),
]

EVERYTHING = [*SWITCH, *NAMESPACES, *NODE1, *NETWORK, *OTHERS]
DRIVES = {name: 256 * MIB for name in ("disk0", "disk1", "disk2", "disk3")}

INTEL = "-device intel-iommu,intremap=on".split()
AMD = "-device amd-iommu,intremap=on,dma-remap=on".split()

SETS = {
    "default": Set(
        about="all devices behind an Intel IOMMU",
        cpu="max",
        kernel_arguments="intel_iommu=on iommu=nopt",
        arguments=[*INTEL, *EVERYTHING],
        drives=DRIVES,
    ),
    "functions": Set(
        about="the same, and four functions of one device below rp8",
        cpu="max",
        kernel_arguments="intel_iommu=on iommu=nopt",
        arguments=[*INTEL, *EVERYTHING, *FUNCTIONS],
        drives=DRIVES,
    ),
    "forward": Set(
        about="three 82576 on one wire, behind an Intel IOMMU",
        cpu="max",
        kernel_arguments="intel_iommu=on iommu=nopt",
        arguments=[*INTEL, *FORWARD],
        drives={},
    ),
    "amd": Set(
        about="all devices behind an AMD IOMMU",
        cpu="EPYC",
        kernel_arguments="amd_iommu=on iommu=nopt",
        arguments=[*AMD, *EVERYTHING],
        drives=DRIVES,
    ),
    "no-iommu": Set(
        about="all devices, no IOMMU",
        cpu="max",
        kernel_arguments="",
        arguments=EVERYTHING,
        drives=DRIVES,
    ),
    "mixed": Set(
        about="all devices, nvme2 without an IOMMU, the others behind an Intel one",
        cpu="max",
        kernel_arguments="intel_iommu=on iommu=nopt",
        arguments=[*INTEL, *SWITCH, *NAMESPACES, *BYPASS, *NETWORK, *OTHERS],
        drives=DRIVES,
    ),
    "bare": Set(
        about="an Intel IOMMU and the edu device; boots fastest",
        cpu="max",
        kernel_arguments="intel_iommu=on iommu=nopt",
        arguments=[*INTEL, *OTHERS],
        drives={},
    ),
    "none": Set(
        about="no devices and no IOMMU, for those of --vfio-user",
        cpu="max",
        kernel_arguments="",
        arguments=[],
        drives={},
    ),
}
