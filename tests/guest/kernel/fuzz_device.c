/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of a device's file, by whichever door it was opened. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"
#include "interrupts.h"

#define MAX_VECTORS 8
#define MAX_ANSWER 512
#define REGION_SHIFT 40

static int pick_device(struct fuzz_thread *thread, unsigned int *of)
{
	/* A parked one, bound or not, is a device, too. */
	return fuzz_pick(thread, fuzz_once_in(thread, 6) ? PARKED : DEVICES, of, NULL);
}

void fuzz_device_info(struct fuzz_thread *thread)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	struct vfio_device_feature feature = { .argsz = sizeof(feature) };
	unsigned char bytes[MAX_ANSWER] = { 0 };
	struct vfio_region_info region = { .argsz = sizeof(bytes) };
	int fd = pick_device(thread, NULL);

	if (fd < 0)
		return;
	switch (fuzz_below(thread, 4)) {
	case 0:
		fuzz_call(thread, DEVICE_GET_INFO, fd, VFIO_DEVICE_GET_INFO, &info, sizeof(info));
		break;
	case 1:
		region.index = (uint32_t)fuzz_below(thread, VFIO_PCI_NUM_REGIONS + 1);
		memcpy(bytes, &region, sizeof(region));
		fuzz_call(thread, GET_REGION_INFO, fd, VFIO_DEVICE_GET_REGION_INFO, bytes,
			  sizeof(bytes));
		break;
	case 2:
		irq.index = (uint32_t)fuzz_below(thread, VFIO_PCI_NUM_IRQS + 1);
		fuzz_call(thread, GET_IRQ_INFO, fd, VFIO_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq));
		break;
	default:
		feature.flags = (uint32_t)(fuzz_below(thread, 16) | fuzz_below(thread, 8) << 16);
		fuzz_call(thread, FEATURE, fd, VFIO_DEVICE_FEATURE, &feature, sizeof(feature));
	}
}

static int pick_eventfd(struct fuzz_thread *thread)
{
	int fd = fuzz_pick(thread, EVENTFDS, NULL, NULL);

	if (fd >= 0 && !fuzz_once_in(thread, 8))
		return fd;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fuzz_keep(thread, EVENTFDS, fd, 0);
	return fd;
}

static void change_irqs(struct fuzz_thread *thread, int fd)
{
	static const uint32_t kinds[] = { NONE, BOOL, EVENTFD, EVENTFD };
	static const uint32_t actions[] = { MASK, UNMASK, TRIGGER, TRIGGER, TRIGGER, TRIGGER };
	struct {
		struct vfio_irq_set set;
		int32_t data[MAX_VECTORS];
	} request = { 0 };

	struct vfio_irq_info info = { .argsz = sizeof(info) };

	/* A kind that the device has, if there is one among a few. */
	for (unsigned int tries = 0; tries < 4 && !info.count; tries++) {
		info.index = (uint32_t)fuzz_below(thread, VFIO_PCI_NUM_IRQS);
		if (ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info))
			return;
	}
	if (info.count > MAX_VECTORS)
		info.count = MAX_VECTORS;
	request.set.index = info.index;
	request.set.start = fuzz_once_in(thread, 8) ? (uint32_t)fuzz_below(thread, 4) : 0;
	request.set.count = 1 + (uint32_t)fuzz_below(thread, info.count ? info.count : 1);
	request.set.flags = kinds[fuzz_below(thread, ARRAY_SIZE(kinds))] |
			    actions[fuzz_below(thread, ARRAY_SIZE(actions))];
	/* What else there is works only if this has been done. */
	if (fuzz_once_in(thread, 3))
		request.set.flags = EVENTFD | TRIGGER;
	/* All vectors off, which leaves room for another kind of interrupt. */
	if (fuzz_once_in(thread, 6)) {
		request.set.count = 0;
		request.set.flags = NONE | TRIGGER;
	}
	for (unsigned int i = 0; i < MAX_VECTORS; i++) {
		if (request.set.flags & EVENTFD)
			request.data[i] = fuzz_once_in(thread, 6) ? -1 : pick_eventfd(thread);
		else
			request.data[i] = (int32_t)fuzz_random(thread);
	}
	request.set.argsz = sizeof(request);
	fuzz_call(thread, SET_IRQS, fd, VFIO_DEVICE_SET_IRQS, &request, sizeof(request));
}

/* A real one. */
static void raise_interrupt(struct fuzz_thread *thread, int fd)
{
	uint32_t value = 1u << fuzz_below(thread, 4);
	off_t at = fuzz_once_in(thread, 2) ? EDU_RAISE : EDU_ACKNOWLEDGE;

	fuzz_begin(thread, INTERRUPT);
	fuzz_end(thread, fuzz_errno(pwrite(fd, &value, sizeof(value), at)));
}

void fuzz_irqs(struct fuzz_thread *thread)
{
	unsigned int of;
	int fd = pick_device(thread, &of);
	uint64_t events;

	if (fd < 0)
		return;
	if (the_options.devices[of].model == MODEL_EDU && fuzz_once_in(thread, 4))
		raise_interrupt(thread, fd);
	else
		change_irqs(thread, fd);
	if (fuzz_once_in(thread, 4))
		(void)!read(fuzz_pick(thread, EVENTFDS, NULL, NULL), &events, sizeof(events));
}

static void hot_reset_info(struct fuzz_thread *thread, int fd)
{
	unsigned char bytes[MAX_ANSWER] = { 0 };
	struct vfio_pci_hot_reset_info info = {
		.argsz = (uint32_t)(fuzz_once_in(thread, 4) ? sizeof(info) : sizeof(bytes)),
	};

	memcpy(bytes, &info, sizeof(info));
	fuzz_call(thread, HOT_RESET_INFO, fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, bytes,
		  sizeof(bytes));
}

static void hot_reset(struct fuzz_thread *thread, int fd, unsigned int of)
{
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t groups[4];
	} request = { .reset.argsz = sizeof(request) };
	unsigned int owner = of + 1;

	for (unsigned int i = 0; i < ARRAY_SIZE(request.groups); i++)
		request.groups[i] = fuzz_pick(thread, GROUPS, &owner, NULL);
	/* Its own is what it takes, if it came from one. */
	for (unsigned int tries = 0; tries < 8 && owner != of; tries++)
		request.groups[0] = fuzz_pick(thread, GROUPS, &owner, NULL);
	/* None: by device files. */
	request.reset.count = owner == of && request.groups[0] >= 0;
	if (fuzz_once_in(thread, 4))
		request.reset.count = (uint32_t)fuzz_below(thread, ARRAY_SIZE(request.groups));
	fuzz_call(thread, HOT_RESET, fd, VFIO_DEVICE_PCI_HOT_RESET, &request, sizeof(request));
}

void fuzz_resets(struct fuzz_thread *thread)
{
	unsigned int of;
	int fd = pick_device(thread, &of);

	if (fd < 0)
		return;
	switch (fuzz_below(thread, 4)) {
	case 0:
	case 1:
		hot_reset_info(thread, fd);
		break;
	case 2:
		hot_reset(thread, fd, of);
		break;
	default:
		fuzz_call_number(thread, RESET, fd, VFIO_DEVICE_RESET, 0);
	}
}

static off_t in_region(unsigned int region, uint64_t at)
{
	return (off_t)((uint64_t)region << REGION_SHIFT | at);
}

static void write_config(struct fuzz_thread *thread, int fd, unsigned int at, uint32_t value,
			 size_t width)
{
	memcpy(thread->buffer, &value, sizeof(value));
	fuzz_begin(thread, WRITE_CONFIG);
	fuzz_end(thread, fuzz_errno(pwrite(fd, thread->buffer, width,
					   in_region(VFIO_PCI_CONFIG_REGION_INDEX, at))));
}

/* Where a capability is: a register of it that changes much is to be written. */
static unsigned int find_capability(int fd, unsigned int id)
{
	unsigned char at = 0, found[2];

	if (pread(fd, &at, 1, in_region(VFIO_PCI_CONFIG_REGION_INDEX, PCI_CAPABILITY_LIST)) != 1)
		return 0;
	for (int hops = 0; at >= PCI_STD_HEADER_SIZEOF && hops < 48; hops++) {
		if (pread(fd, found, sizeof(found), in_region(VFIO_PCI_CONFIG_REGION_INDEX, at)) !=
		    sizeof(found))
			return 0;
		if (found[0] == id)
			return at;
		at = found[1] & 0xfc;
	}
	return 0;
}

/* Sleep, function resets, interrupts by capability; mostly awake and decoding afterwards. */
static void write_capability(struct fuzz_thread *thread, int fd)
{
	static const struct {
		unsigned int id;
		unsigned int at;
		uint32_t value;
	} writes[] = {
		{ PCI_CAP_ID_PM, PCI_PM_CTRL, 3 },
		{ PCI_CAP_ID_PM, PCI_PM_CTRL, 0 },
		{ PCI_CAP_ID_PM, PCI_PM_CTRL, 0 },
		{ PCI_CAP_ID_EXP, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR },
		{ PCI_CAP_ID_AF, PCI_AF_CTRL, PCI_AF_CTRL_FLR },
		{ PCI_CAP_ID_MSI, PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE },
		{ PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE },
	};
	size_t which = fuzz_below(thread, ARRAY_SIZE(writes));
	unsigned int capability = find_capability(fd, writes[which].id);

	if (capability)
		write_config(thread, fd, capability + writes[which].at, writes[which].value, 2);
}

void fuzz_config(struct fuzz_thread *thread)
{
	static const size_t widths[] = { 1, 2, 4, 4, 8, 3 };
	unsigned int limit = fuzz_once_in(thread, 2) ? PCI_STD_HEADER_SIZEOF : 4096;
	unsigned int at = (unsigned int)fuzz_below(thread, limit);
	size_t width = widths[fuzz_below(thread, ARRAY_SIZE(widths))];
	int fd = pick_device(thread, NULL);

	if (fd < 0)
		return;
	switch (fuzz_below(thread, 8)) {
	case 0:
		write_config(thread, fd, at, (uint32_t)fuzz_interesting(thread), width);
		break;
	case 1:
		write_config(thread, fd, PCI_COMMAND,
			     fuzz_once_in(thread, 3) ? (uint32_t)fuzz_random(thread)
						     : PCI_COMMAND_MEMORY,
			     2);
		break;
	case 2:
	case 3:
		write_capability(thread, fd);
		break;
	default:
		if (fuzz_once_in(thread, 4))
			width = fuzz_below(thread, 2 * PAGE);
		fuzz_begin(thread, READ_CONFIG);
		fuzz_end(thread, fuzz_errno(pread(fd, thread->buffer, width,
						  in_region(VFIO_PCI_CONFIG_REGION_INDEX, at))));
	}
}

/* As with mappings, only what is plain memory is written. */
void fuzz_region(struct fuzz_thread *thread)
{
	size_t width = fuzz_below(thread, fuzz_once_in(thread, 8) ? 2 * PAGE : 17);
	struct vfio_region_info info;
	unsigned int of;
	int fd = pick_device(thread, &of);
	uint64_t at;
	long result;

	if (fd < 0 || !fuzz_find_region(thread, fd, &info))
		return;
	if (the_options.devices[of].model == MODEL_MEMORY)
		info.index = VFIO_PCI_BAR2_REGION_INDEX;
	at = fuzz_below(thread, info.size);
	if (fuzz_once_in(thread, 8))
		at = fuzz_interesting(thread) & ((1ull << REGION_SHIFT) - 1);
	if (the_options.devices[of].model == MODEL_MEMORY && !fuzz_once_in(thread, 4)) {
		fuzz_begin(thread, WRITE_REGION);
		result = pwrite(fd, thread->buffer, width, in_region(info.index, at));
	} else {
		fuzz_begin(thread, READ_REGION);
		result = pread(fd, thread->buffer, width, in_region(info.index, at));
	}
	fuzz_end(thread, fuzz_errno(result));
}
