/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "iommufd_calls.h"

int must_open_iommufd(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	return (int)must(fd < 0 ? -errno : fd, "open /dev/iommu");
}

uint32_t must_ioas(int fd)
{
	struct iommufd_ioas_alloc alloc = { .size = sizeof(alloc) };

	must(call(fd, IOMMUFD_IOAS_ALLOC, &alloc), "IOAS_ALLOC");
	return alloc.id;
}

static long map(int fd, struct iommufd_map *command)
{
	command->size = sizeof(*command);
	return call(fd, IOMMUFD_MAP, command);
}

long ioas_map_at(int fd, uint32_t ioas, const void *memory, uint64_t length, uint64_t iova)
{
	struct iommufd_map command = {
		.flags = IOAS_FIXED | IOAS_READ_WRITE,
		.ioas = ioas,
		.address = (uintptr_t)memory,
		.length = length,
		.iova = iova,
	};

	return map(fd, &command);
}

long ioas_map_anywhere(int fd, uint32_t ioas, const void *memory, uint64_t length, uint32_t flags,
		       uint64_t *iova)
{
	struct iommufd_map command = {
		.flags = flags,
		.ioas = ioas,
		.address = (uintptr_t)memory,
		.length = length,
		.iova = 0x1234567,
	};
	long result = map(fd, &command);

	*iova = command.iova;
	return result;
}

long ioas_map_file_at(int fd, uint32_t ioas, int file, uint64_t start, uint64_t length,
		      uint64_t iova, uint32_t flags)
{
	struct iommufd_map_file command = {
		.size = sizeof(command),
		.flags = IOAS_FIXED | flags,
		.ioas = ioas,
		.fd = file,
		.start = start,
		.length = length,
		.iova = iova,
	};

	return call(fd, IOMMUFD_MAP_FILE, &command);
}

long ioas_copy_to(int fd, uint32_t to, uint64_t to_iova, uint32_t from, uint64_t from_iova,
		  uint64_t length, uint32_t flags)
{
	struct iommufd_copy command = {
		.size = sizeof(command),
		.flags = IOAS_FIXED | flags,
		.to = to,
		.from = from,
		.length = length,
		.to_iova = to_iova,
		.from_iova = from_iova,
	};

	return call(fd, IOMMUFD_COPY, &command);
}

long ioas_unmap_range(int fd, uint32_t ioas, uint64_t iova, uint64_t length)
{
	struct iommufd_unmap command = {
		.size = sizeof(command),
		.ioas = ioas,
		.iova = iova,
		.length = length,
	};
	long result = call(fd, IOMMUFD_UNMAP, &command);

	return result < 0 ? result : (long)command.length;
}

long ioas_ranges(int fd, uint32_t ioas, struct iommufd_range *array, uint32_t room)
{
	struct iommufd_ranges command = {
		.size = sizeof(command),
		.ioas = ioas,
		.count = room,
		.array = (uintptr_t)array,
	};
	long result = call(fd, IOMMUFD_IOVA_RANGES, &command);

	return result < 0 ? result : (long)command.count;
}

long ioas_alignment(int fd, uint32_t ioas)
{
	struct iommufd_range array[16];
	struct iommufd_ranges command = {
		.size = sizeof(command),
		.ioas = ioas,
		.count = ARRAY_SIZE(array),
		.array = (uintptr_t)array,
	};
	long result = call(fd, IOMMUFD_IOVA_RANGES, &command);

	return result < 0 ? result : (long)command.alignment;
}

long ioas_allow(int fd, uint32_t ioas, const struct iommufd_range *array, uint32_t count)
{
	struct iommufd_allow command = {
		.size = sizeof(command),
		.ioas = ioas,
		.count = count,
		.array = (uintptr_t)array,
	};

	return call(fd, IOMMUFD_ALLOW_IOVAS, &command);
}

long iommufd_option(int fd, uint32_t option, uint32_t op, uint32_t object, uint64_t value)
{
	struct iommufd_option command = {
		.size = sizeof(command),
		.option = option,
		.op = (uint16_t)op,
		.object = object,
		.value = value,
	};
	long result = call(fd, IOMMUFD_OPTION, &command);

	return result < 0 || op != OPTION_GET ? result : (long)command.value;
}

long vfio_ioas(int fd, uint32_t op, uint32_t ioas)
{
	struct iommufd_vfio_ioas command = {
		.size = sizeof(command),
		.ioas = ioas,
		.op = (uint16_t)op,
	};
	long result = call(fd, IOMMUFD_VFIO_IOAS, &command);

	return result < 0 || op != VFIO_IOAS_GET ? result : (long)command.ioas;
}

long iommufd_destroy(int fd, uint32_t id)
{
	struct iommufd_destroy command = { .size = sizeof(command), .id = id };

	return call(fd, IOMMUFD_DESTROY, &command);
}

long iommufd_change_process(int fd)
{
	struct iommufd_change_process command = { .size = sizeof(command) };

	return call(fd, IOMMUFD_CHANGE_PROCESS, &command);
}

long hwpt_alloc(int fd, uint32_t device, uint32_t ioas)
{
	struct iommufd_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.device = device,
		.table = ioas,
	};
	long result = call(fd, IOMMUFD_HWPT_ALLOC, &alloc);

	return result < 0 ? result : (long)alloc.id;
}

long pinned_kilobytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long value = -1;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmPin: %ld", &value) == 1)
			break;
	}
	if (file)
		fclose(file);
	return value;
}
