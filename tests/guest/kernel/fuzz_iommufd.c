/* SPDX-License-Identifier: BSD-3-Clause */
/* /dev/iommu, and devices' own nodes up to where they are bound and attached. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cdev_calls.h"
#include "fuzz.h"

#define MAX_RANGES 8

static void allocate_ioas(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_ioas_alloc ioas = { .size = sizeof(ioas) };

	if (fuzz_call(thread, IOAS_ALLOC, context, IOMMUFD_IOAS_ALLOC, &ioas, sizeof(ioas)) == 0)
		fuzz_keep_id(thread, place, ID_IOAS, ioas.id);
}

/* With an address space: nothing else works without one. */
static int open_context(struct fuzz_thread *thread, unsigned int *place)
{
	long fd;

	fuzz_begin(thread, OPEN_CONTEXT);
	fd = fuzz_end(thread, fuzz_errno(open("/dev/iommu", O_RDWR | O_CLOEXEC)));
	*place = fuzz_keep(thread, CONTEXTS, fd, 0);
	allocate_ioas(thread, (int)fd, *place);
	return (int)fd;
}

/* The node's name changes whenever the driver is bound. */
void fuzz_find_node(char *path, size_t size, const char *bdf)
{
	char folder[64];
	struct dirent *entry;
	DIR *nodes;

	path[0] = '\0';
	snprintf(folder, sizeof(folder), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	nodes = opendir(folder);
	while (nodes && (entry = readdir(nodes))) {
		if (strncmp(entry->d_name, "vfio", 4) == 0)
			snprintf(path, size, "/dev/vfio/devices/%.16s", entry->d_name);
	}
	if (nodes)
		closedir(nodes);
}

static int open_cdev(struct fuzz_thread *thread, unsigned int *device)
{
	char path[64];
	long fd;

	*device = (unsigned int)fuzz_below(thread, the_options.nr_devices);
	fuzz_find_node(path, sizeof(path), the_options.devices[*device].bdf);
	fuzz_begin(thread, OPEN_CDEV);
	fd = fuzz_end(thread, fuzz_errno(open(path, O_RDWR | O_CLOEXEC)));
	fuzz_keep(thread, PARKED, fd, *device);
	return (int)fd;
}

/* The file stays parked, too: it is bound a second time now and then. */
static bool bind_to(struct fuzz_thread *thread, int fd, unsigned int device, int context,
		    unsigned int place)
{
	struct device_bind bind = { .argsz = sizeof(bind), .iommufd = context };

	if (fuzz_call(thread, BIND, fd, DEVICE_BIND, &bind, sizeof(bind)) != 0)
		return false;
	atomic_store(&thread->process->bound_to[device], place);
	fuzz_keep_id(thread, place, ID_DEVICE, bind.out_devid);
	fuzz_begin(thread, DUPLICATE);
	fuzz_keep(thread, DEVICES, fuzz_end(thread, fuzz_errno(fcntl(fd, F_DUPFD_CLOEXEC, 0))),
		  device);
	return true;
}

static void attach(struct fuzz_thread *thread, int fd, unsigned int place)
{
	struct device_attach attach = { .argsz = sizeof(attach) };

	attach.pt_id = fuzz_pick_id(thread, place, fuzz_once_in(thread, 3) ? ID_HWPT : ID_IOAS);
	fuzz_call(thread, ATTACH, fd, DEVICE_ATTACH, &attach, sizeof(attach));
}

/* All the way to a device that is attached, if there is one that nobody else has. */
void fuzz_cdev_session(struct fuzz_thread *thread)
{
	unsigned int place, device;
	int context = fuzz_pick(thread, CONTEXTS, NULL, &place);
	bool is_bound = false;
	int fd = -1;

	thread->careful = true;
	if (context < 0 || fuzz_once_in(thread, 4))
		context = open_context(thread, &place);
	allocate_ioas(thread, context, place);
	for (unsigned int tries = 0; tries < 4 && !is_bound; tries++) {
		fd = open_cdev(thread, &device);
		is_bound = fd >= 0 && bind_to(thread, fd, device, context, place);
	}
	if (is_bound)
		attach(thread, fd, place);
	thread->careful = false;
}

void fuzz_attachment(struct fuzz_thread *thread)
{
	struct device_detach detach = { .argsz = sizeof(detach) };
	unsigned int device, place;
	int context = fuzz_pick(thread, CONTEXTS, NULL, &place);
	int fd = fuzz_pick(thread, fuzz_once_in(thread, 3) ? DEVICES : PARKED, &device, NULL);

	switch (fuzz_below(thread, 16)) {
	case 0:
		open_cdev(thread, &device);
		break;
	case 1:
		bind_to(thread, fd, device, context, place);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
		fuzz_call(thread, DETACH, fd, DEVICE_DETACH, &detach, sizeof(detach));
		break;
	default:
		/* Of another context it knows nothing. */
		if (!fuzz_once_in(thread, 8))
			place = atomic_load(&thread->process->bound_to[device]);
		attach(thread, fd, place);
	}
}

static void allocate_hwpt(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_hwpt_alloc hwpt = { .size = sizeof(hwpt) };

	hwpt.device = fuzz_pick_id(thread, place, ID_DEVICE);
	hwpt.table = fuzz_pick_id(thread, place, ID_IOAS);
	if (fuzz_call(thread, HWPT_ALLOC, context, IOMMUFD_HWPT_ALLOC, &hwpt, sizeof(hwpt)) == 0)
		fuzz_keep_id(thread, place, ID_HWPT, hwpt.id);
}

static void destroy(struct fuzz_thread *thread, int context, unsigned int place)
{
	enum fuzz_id kind = fuzz_once_in(thread, 8)   ? ID_DEVICE
			    : fuzz_once_in(thread, 3) ? ID_IOAS
						      : ID_HWPT;
	struct iommufd_destroy destroy = { .size = sizeof(destroy) };

	destroy.id = fuzz_pick_id(thread, place, kind);
	if (fuzz_call(thread, DESTROY, context, IOMMUFD_DESTROY, &destroy, sizeof(destroy)) == 0)
		fuzz_drop_id(thread, place, kind, destroy.id);
}

static void set_option(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_option option = { .size = sizeof(option) };

	option.option = fuzz_once_in(thread, 3) ? OPTION_RLIMIT_MODE : OPTION_HUGE_PAGES;
	option.op = fuzz_once_in(thread, 3) ? OPTION_GET : OPTION_SET;
	option.object = option.option == OPTION_RLIMIT_MODE ? 0
							    : fuzz_pick_id(thread, place, ID_IOAS);
	option.value = fuzz_below(thread, 2);
	fuzz_call(thread, OPTION, context, IOMMUFD_OPTION, &option, sizeof(option));
}

static void change_compatible(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_vfio_ioas choice = { .size = sizeof(choice) };

	choice.op = (uint16_t)fuzz_below(thread, 3);
	choice.ioas = choice.op == VFIO_IOAS_SET ? fuzz_pick_id(thread, place, ID_IOAS) : 0;
	if (fuzz_call(thread, VFIO_IOAS, context, IOMMUFD_VFIO_IOAS, &choice, sizeof(choice)) ==
		    0 &&
	    choice.op == VFIO_IOAS_GET)
		fuzz_keep_id(thread, place, ID_IOAS, choice.ioas);
}

static void ask_hardware(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_hw_info info = { .size = sizeof(info) };

	info.device = fuzz_pick_id(thread, place, ID_DEVICE);
	info.data_length = (uint32_t)(fuzz_once_in(thread, 2) ? fuzz_below(thread, 64) : 0);
	info.data = info.data_length ? (uintptr_t)thread->buffer : 0;
	fuzz_call(thread, GET_HW_INFO, context, IOMMUFD_HW_INFO, &info, sizeof(info));
}

/* Objects of a context but areas. */
void fuzz_objects(struct fuzz_thread *thread)
{
	struct iommufd_change_process change = { .size = sizeof(change) };
	unsigned int place;
	int context = fuzz_pick(thread, CONTEXTS, NULL, &place);

	switch (fuzz_below(thread, 14)) {
	case 0:
		if (fuzz_once_in(thread, 4))
			open_context(thread, &place);
		break;
	case 1:
	case 2:
		allocate_ioas(thread, context, place);
		break;
	case 3:
	case 4:
		allocate_hwpt(thread, context, place);
		break;
	case 5:
	case 6:
		set_option(thread, context, place);
		break;
	case 7:
		change_compatible(thread, context, place);
		break;
	case 8:
		ask_hardware(thread, context, place);
		break;
	case 9:
	case 10:
		fuzz_call(thread, CHANGE_PROCESS, context, IOMMUFD_CHANGE_PROCESS, &change,
			  sizeof(change));
		break;
	default:
		destroy(thread, context, place);
	}
}

static uint32_t map_flags(struct fuzz_thread *thread)
{
	if (fuzz_once_in(thread, 16))
		return (uint32_t)fuzz_below(thread, 8);
	return IOAS_READ_WRITE | (fuzz_once_in(thread, 3) ? 0 : IOAS_FIXED);
}

static void keep(struct fuzz_thread *thread, unsigned int place, uint64_t iova, uint64_t length,
		 uint32_t ioas)
{
	const struct fuzz_area area = { iova, length, ioas };

	fuzz_keep_area(thread, CONTEXTS, place, &area);
}

static void map(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_map map = { .size = sizeof(map), .flags = map_flags(thread) };

	map.ioas = fuzz_pick_id(thread, place, ID_IOAS);
	map.address = fuzz_pick_memory(thread, &map.length);
	if (fuzz_once_in(thread, 16))
		map.address += fuzz_below(thread, PAGE);
	map.iova = fuzz_pick_iova(thread, CONTEXTS, place);
	if (fuzz_call(thread, IOAS_MAP, context, IOMMUFD_MAP, &map, sizeof(map)) == 0)
		keep(thread, place, map.iova, map.length, map.ioas);
}

static void map_file(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_map_file map = { .size = sizeof(map), .flags = map_flags(thread) };

	map.ioas = fuzz_pick_id(thread, place, ID_IOAS);
	map.fd = fuzz_pick(thread, MEMFDS, NULL, NULL);
	map.start = fuzz_below(thread, 32) * PAGE;
	map.length = fuzz_once_in(thread, 4) ? fuzz_length(thread)
					     : (1 + fuzz_below(thread, 32)) * PAGE;
	map.iova = fuzz_pick_iova(thread, CONTEXTS, place);
	if (fuzz_call(thread, IOAS_MAP_FILE, context, IOMMUFD_MAP_FILE, &map, sizeof(map)) == 0)
		keep(thread, place, map.iova, map.length, map.ioas);
}

static void copy(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_copy copy = { .size = sizeof(copy), .flags = map_flags(thread) };
	const struct fuzz_area from = fuzz_pick_area(thread, CONTEXTS, place);
	uint64_t pages = from.length / PAGE;
	uint64_t first = fuzz_once_in(thread, 2) || !pages ? 0 : fuzz_below(thread, pages);

	copy.from = from.id;
	copy.from_iova = from.iova + first * PAGE;
	copy.length = fuzz_once_in(thread, 8) || pages == first
			      ? fuzz_length(thread)
			      : (1 + fuzz_below(thread, pages - first)) * PAGE;
	copy.to = fuzz_pick_id(thread, place, ID_IOAS);
	copy.to_iova = fuzz_pick_iova(thread, CONTEXTS, place);
	if (fuzz_call(thread, IOAS_COPY, context, IOMMUFD_COPY, &copy, sizeof(copy)) == 0)
		keep(thread, place, copy.to_iova, copy.length, copy.to);
}

static void unmap(struct fuzz_thread *thread, int context, unsigned int place)
{
	const struct fuzz_area area = fuzz_pick_area(thread, CONTEXTS, place);
	struct iommufd_unmap unmap = {
		.size = sizeof(unmap),
		.ioas = area.id,
		.iova = area.iova,
		.length = area.length,
	};
	long result;

	if (fuzz_once_in(thread, 8)) {
		unmap.iova = fuzz_once_in(thread, 2) ? 0 : area.iova;
		unmap.length = unmap.iova ? fuzz_length(thread) : UINT64_MAX;
	}
	/* What is known of it and is no more is forgotten, too. */
	result = fuzz_call(thread, IOAS_UNMAP, context, IOMMUFD_UNMAP, &unmap, sizeof(unmap));
	if (result == 0 || result == -ENOENT)
		fuzz_drop_area(thread, CONTEXTS, place, &area);
}

static void ranges(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_ranges ranges = { .size = sizeof(ranges) };

	ranges.ioas = fuzz_pick_id(thread, place, ID_IOAS);
	ranges.count = (uint32_t)fuzz_below(thread, MAX_RANGES);
	ranges.array = (uintptr_t)thread->buffer;
	fuzz_call(thread, IOVA_RANGES, context, IOMMUFD_IOVA_RANGES, &ranges, sizeof(ranges));
}

/* What is allowed is all there is, mostly, or else nothing could be mapped after a while. */
static void allow(struct fuzz_thread *thread, int context, unsigned int place)
{
	struct iommufd_allow allow = { .size = sizeof(allow) };
	struct iommufd_range range = { 0, IOVA_SPACE - 1 };

	if (fuzz_once_in(thread, 8)) {
		range.start = fuzz_pick_iova(thread, CONTEXTS, place);
		range.last = range.start + fuzz_length(thread) - 1;
	}
	memcpy(thread->buffer, &range, sizeof(range));
	allow.ioas = fuzz_pick_id(thread, place, ID_IOAS);
	allow.count = (uint32_t)fuzz_below(thread, 2);
	allow.array = (uintptr_t)thread->buffer;
	fuzz_call(thread, ALLOW_IOVAS, context, IOMMUFD_ALLOW_IOVAS, &allow, sizeof(allow));
}

/* What is mapped in an address space. */
void fuzz_ioas(struct fuzz_thread *thread)
{
	unsigned int place;
	int context = fuzz_pick(thread, CONTEXTS, NULL, &place);

	/* Of a context that others have, too, or whose last one is gone. */
	if (context < 0)
		context = open_context(thread, &place);
	else if (!fuzz_pick_id(thread, place, ID_IOAS))
		allocate_ioas(thread, context, place);
	switch (fuzz_below(thread, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		map(thread, context, place);
		break;
	case 4:
	case 5:
	case 6:
		map_file(thread, context, place);
		break;
	case 7:
	case 8:
	case 9:
		copy(thread, context, place);
		break;
	case 10:
		ranges(thread, context, place);
		break;
	case 11:
		allow(thread, context, place);
		break;
	default:
		unmap(thread, context, place);
	}
}
