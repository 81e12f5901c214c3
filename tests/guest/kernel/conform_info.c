/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device's file says of the device: regions, interrupts, features. Compared with sysfs.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

#define NO_SUCH_COMMAND _IO(VFIO_TYPE, VFIO_BASE + 99)
#define NO_SUCH_FEATURE 0xfff0u
#define RESOURCE_IO 0x100u /* flags of a resource in sysfs */

static void each_device(void (*test)(int device, enum conform_kind kind))
{
	for (enum conform_kind kind = 0; kind < KINDS; kind++) {
		struct session session;

		about("%s", the_devices[kind].kind);
		session = must_open(kind, VFIO_TYPE1v2_IOMMU);
		test(session.device, kind);
		close_session(&session);
	}
}

static void check_sizes_of(int device, unsigned long request, const char *name, uint32_t minimum)
{
	uint32_t buffer[64];

	for (uint32_t argsz = 0; argsz < minimum; argsz += 4) {
		memset(buffer, 0, sizeof(buffer));
		buffer[0] = argsz;
		expect(call(device, request, buffer), -EINVAL, "%s with argsz %u", name, argsz);
	}
	memset(buffer, 0, sizeof(buffer));
	buffer[0] = minimum - 1;
	expect(call(device, request, buffer), -EINVAL, "%s with argsz one short", name);
	buffer[0] = minimum;
	expect(call(device, request, buffer), 0, "%s with argsz %u", name, minimum);
	buffer[0] = sizeof(buffer);
	expect(call(device, request, buffer), 0, "%s with argsz %zu", name, sizeof(buffer));
	expect(call(device, request, NULL), -EFAULT, "%s of no address", name);
}

static void check_info_of(int device, enum conform_kind kind)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	(void)kind;
	check_sizes_of(device, VFIO_DEVICE_GET_INFO, "GET_INFO", 16);
	check_sizes_of(device, VFIO_DEVICE_GET_REGION_INFO, "GET_REGION_INFO", 32);
	check_sizes_of(device, VFIO_DEVICE_GET_IRQ_INFO, "GET_IRQ_INFO", 16);
	must(call(device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
	check((info.flags & ~(uint32_t)(VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_CAPS)) ==
		      VFIO_DEVICE_FLAGS_PCI,
	      "it is a PCI device");
	expect(info.num_regions, VFIO_PCI_NUM_REGIONS, "regions");
	expect(info.num_irqs, VFIO_PCI_NUM_IRQS, "interrupt indexes");
	expect(call(device, NO_SUCH_COMMAND, NULL), -ENOTTY, "an unknown command");
	expect(call(device, VFIO_DEVICE_FEATURE, NULL), -EFAULT, "DEVICE_FEATURE of no address");
}

static void check_info(void)
{
	each_device(check_info_of);
}

struct resource {
	unsigned long long start, end, flags;
};

/* A line of the device's "resource" in sysfs. */
static struct resource read_resource(enum conform_kind kind, unsigned int index)
{
	struct resource resource = { 0 };
	char path[96], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", the_devices[kind].bdf);
	file = fopen(path, "r");
	for (unsigned int i = 0; file && i <= index && fgets(line, sizeof(line), file); i++) {
		if (i == index && sscanf(line, "%llx %llx %llx", &resource.start, &resource.end,
					 &resource.flags) != 3)
			resource = (struct resource){ 0 };
	}
	if (file)
		fclose(file);
	return resource;
}

static void check_bar_info(int device, enum conform_kind kind, unsigned int index)
{
	struct resource resource = read_resource(kind, index);
	uint64_t size = resource.flags ? resource.end - resource.start + 1 : 0;
	bool memory = size && !(resource.flags & RESOURCE_IO);
	struct vfio_region_info info = must_region(device, index);
	uint32_t flags = info.flags & ~(uint32_t)VFIO_REGION_INFO_FLAG_CAPS;
	uint32_t wanted = size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;

	if (memory && size >= PAGE)
		wanted |= VFIO_REGION_INFO_FLAG_MMAP;
	/* Below a page it can be mapped when nothing else is in the page: a matter of luck. */
	if (memory && size < PAGE)
		flags &= ~(uint32_t)VFIO_REGION_INFO_FLAG_MMAP;
	expect((long)info.size, (long)size, "size of BAR %u", index);
	expect(flags, wanted, "flags of BAR %u", index);
}

static void check_regions_of(int device, enum conform_kind kind)
{
	struct vfio_region_info info, seen[VFIO_PCI_NUM_REGIONS];
	bool apart = true;

	for (unsigned int index = 0; index < 6; index++)
		check_bar_info(device, kind, index);
	info = must_region(device, VFIO_PCI_CONFIG_REGION_INDEX);
	expect((long)info.size, capability(device, PCI_CAP_ID_EXP) ? 4096 : 256,
	       "size of configuration space");
	expect(info.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
	       "flags of configuration space");
	info = must_region(device, VFIO_PCI_ROM_REGION_INDEX);
	expect((long)info.size, 0, "size of the ROM, which none of these has");
	static const uint32_t bad[] = { VFIO_PCI_VGA_REGION_INDEX, VFIO_PCI_NUM_REGIONS, 100, ~0u };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		info = (struct vfio_region_info){ .argsz = sizeof(info), .index = bad[i] };
		expect(call(device, VFIO_DEVICE_GET_REGION_INFO, &info), -EINVAL,
		       "GET_REGION_INFO of region %u", bad[i]);
	}
	for (unsigned int i = 0; i <= VFIO_PCI_CONFIG_REGION_INDEX; i++) {
		seen[i] = must_region(device, i);
		for (unsigned int j = 0; j < i && seen[i].size; j++)
			apart &= !seen[j].size || seen[i].offset >= seen[j].offset + seen[j].size ||
				 seen[j].offset >= seen[i].offset + seen[i].size;
	}
	check(apart, "no region's offsets are another's");
}

static void check_regions(void)
{
	each_device(check_regions_of);
}

/* The region that the MSI-X table is in says that it may be mapped with the table. */
static void check_msix_mappable(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	unsigned int msix = capability(session.device, PCI_CAP_ID_MSIX);
	unsigned int bar = config_read(session.device, msix + PCI_MSIX_TABLE, 4) &
			   PCI_MSIX_TABLE_BIR;
	struct {
		struct vfio_region_info info;
		unsigned char rest[1024];
	} answer = { .info = { .argsz = sizeof(answer.info), .index = bar } };
	bool found = false, inside = true;
	uint32_t at;

	must(call(session.device, VFIO_DEVICE_GET_REGION_INFO, &answer), "GET_REGION_INFO");
	check(answer.info.flags & VFIO_REGION_INFO_FLAG_CAPS &&
		      answer.info.argsz > sizeof(answer.info) && answer.info.cap_offset == 0,
	      "a short GET_REGION_INFO says how long the capabilities are");
	answer.info.argsz = sizeof(answer);
	must(call(session.device, VFIO_DEVICE_GET_REGION_INFO, &answer), "GET_REGION_INFO");
	at = answer.info.cap_offset;
	for (int hops = 0; at && hops < 16; hops++) {
		const struct vfio_info_cap_header *header =
			(const void *)((const unsigned char *)&answer + at);

		inside &= at >= sizeof(answer.info) && at < sizeof(answer);
		if (!inside)
			break;
		found |= header->id == VFIO_REGION_INFO_CAP_MSIX_MAPPABLE;
		at = header->next;
	}
	check(found && inside, "the MSI-X table may be mapped");
}

static void check_irq_info(int device, uint32_t index, const char *name, uint32_t count,
			   uint32_t flags)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	expect(call(device, VFIO_DEVICE_GET_IRQ_INFO, &info), 0, "GET_IRQ_INFO of %s", name);
	expect(info.count, count, "count of %s", name);
	if (count)
		expect(info.flags &
			       ~(index == VFIO_PCI_MSIX_IRQ_INDEX ? VFIO_IRQ_INFO_NORESIZE : 0),
		       flags, "flags of %s", name);
}

static void check_irqs_of(int device, enum conform_kind kind)
{
	unsigned int msi = capability(device, PCI_CAP_ID_MSI);
	unsigned int msix = capability(device, PCI_CAP_ID_MSIX);
	unsigned int express = capability(device, PCI_CAP_ID_EXP);
	static const uint32_t bad[] = { VFIO_PCI_NUM_IRQS, 100, ~0u };
	struct vfio_irq_info info;
	uint32_t count;

	check_irq_info(device, VFIO_PCI_INTX_IRQ_INDEX, "INTx",
		       hardware_config(kind, PCI_INTERRUPT_PIN, 1) != 0,
		       VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED);
	count = msi ? 1u << (config_read(device, msi + PCI_MSI_FLAGS, 2) >> 1 & 7) : 0;
	check_irq_info(device, VFIO_PCI_MSI_IRQ_INDEX, "MSI", count,
		       VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
	count = msix ? (config_read(device, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1
		     : 0;
	check_irq_info(device, VFIO_PCI_MSIX_IRQ_INDEX, "MSI-X", count, VFIO_IRQ_INFO_EVENTFD);
	check_irq_info(device, VFIO_PCI_REQ_IRQ_INDEX, "requests", 1,
		       VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
	if (express) {
		check_irq_info(device, VFIO_PCI_ERR_IRQ_INDEX, "errors", 1,
			       VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
	} else {
		info = (struct vfio_irq_info){ .argsz = sizeof(info),
					       .index = VFIO_PCI_ERR_IRQ_INDEX };
		expect(call(device, VFIO_DEVICE_GET_IRQ_INFO, &info), -EINVAL,
		       "GET_IRQ_INFO of errors, without PCI Express");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		info = (struct vfio_irq_info){ .argsz = sizeof(info), .index = bad[i] };
		expect(call(device, VFIO_DEVICE_GET_IRQ_INFO, &info), -EINVAL,
		       "GET_IRQ_INFO of index %u", bad[i]);
	}
}

static void check_irqs(void)
{
	each_device(check_irqs_of);
}

static const struct {
	const char *name;
	enum conform_kind kind;
	uint32_t flags;
	size_t size; /* of the data */
	long result;
} features[] = {
	{ "nothing at all", NVME, 0, 0, -ENOTTY },
	{ "PROBE of none", NVME, VFIO_DEVICE_FEATURE_PROBE | NO_SUCH_FEATURE, 0, -ENOTTY },
	{ "GET of none", NVME, VFIO_DEVICE_FEATURE_GET | NO_SUCH_FEATURE, 8, -ENOTTY },
	{ "an unknown flag", NVME, 1u << 19 | VFIO_DEVICE_FEATURE_PROBE, 0, -EINVAL },
	{ "the highest flag", NVME, 1u << 31, 0, -EINVAL },
	{ "GET and SET", NVME,
	  VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_ENTRY, 0, -EINVAL },
	{ "GET and SET of none", NVME,
	  VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | NO_SUCH_FEATURE, 0, -EINVAL },
	{ "PROBE of migration", NVME, VFIO_DEVICE_FEATURE_PROBE | FEATURE_MIGRATION, 0, -ENOTTY },
	{ "PROBE of a VF token, of no PF", EDU, VFIO_DEVICE_FEATURE_PROBE | FEATURE_VF_TOKEN, 0,
	  -ENOTTY },
	{ "SET of a VF token, of no PF", EDU, VFIO_DEVICE_FEATURE_SET | FEATURE_VF_TOKEN, 16,
	  -ENOTTY },
	{ "PROBE of a VF token", PF, VFIO_DEVICE_FEATURE_PROBE | FEATURE_VF_TOKEN, 0, 0 },
	{ "PROBE and SET of a VF token", PF,
	  VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | FEATURE_VF_TOKEN, 0, 0 },
	{ "PROBE and GET of a VF token", PF,
	  VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | FEATURE_VF_TOKEN, 0, -EINVAL },
	{ "GET of a VF token", PF, VFIO_DEVICE_FEATURE_GET | FEATURE_VF_TOKEN, 16, -EINVAL },
	{ "neither GET nor SET of a VF token", PF, FEATURE_VF_TOKEN, 16, -EINVAL },
	{ "SET of a VF token, one byte short", PF, VFIO_DEVICE_FEATURE_SET | FEATURE_VF_TOKEN, 15,
	  -EINVAL },
	{ "SET of a VF token", PF, VFIO_DEVICE_FEATURE_SET | FEATURE_VF_TOKEN, 16, 0 },
	{ "PROBE of low power entry", NVME, VFIO_DEVICE_FEATURE_PROBE | FEATURE_LOW_POWER_ENTRY, 0,
	  0 },
	{ "PROBE and SET of low power entry", NVME,
	  VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_ENTRY, 0, 0 },
	{ "PROBE and GET of low power entry", NVME,
	  VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | FEATURE_LOW_POWER_ENTRY, 0,
	  -EINVAL },
	{ "GET of low power entry", NVME, VFIO_DEVICE_FEATURE_GET | FEATURE_LOW_POWER_ENTRY, 0,
	  -EINVAL },
};

static void check_features(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		struct session session = must_open(features[i].kind, VFIO_TYPE1v2_IOMMU);
		unsigned char data[16] = { 0 };

		expect(device_feature(session.device, features[i].flags, data, features[i].size),
		       features[i].result, "DEVICE_FEATURE, %s", features[i].name);
		close_session(&session);
	}
}

static void check_feature_sizes(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);

	for (uint32_t argsz = 0; argsz < 8; argsz++) {
		struct vfio_device_feature feature = {
			.argsz = argsz,
			.flags = VFIO_DEVICE_FEATURE_PROBE | FEATURE_LOW_POWER_ENTRY,
		};

		expect(call(session.device, VFIO_DEVICE_FEATURE, &feature), -EINVAL,
		       "DEVICE_FEATURE with argsz %u", argsz);
	}
}

static const struct conform_case cases[] = {
	{ "devices", check_info },
	{ "regions", check_regions },
	{ "the MSI-X table", check_msix_mappable },
	{ "interrupts", check_irqs },
	{ "features", check_features },
	{ "sizes of features", check_feature_sizes },
};

const struct conform_part part_info = { "info", cases, ARRAY_SIZE(cases) };
