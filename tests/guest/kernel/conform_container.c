/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /dev/vfio/vfio by itself and with groups: extensions, choice of a backend, what is left of it
 * when groups go.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"

#define NO_SUCH_EXTENSION 9999
#define NO_SUCH_COMMAND _IO(VFIO_TYPE, VFIO_BASE + 99)

static const struct {
	const char *name;
	unsigned long extension;
	long before; /* VFIO_SET_IOMMU; after it is what a type 1 container has, -1: depends */
	long after;
} extensions[] = {
	{ "TYPE1", VFIO_TYPE1_IOMMU, 1, 1 },
	{ "TYPE1v2", VFIO_TYPE1v2_IOMMU, 1, 1 },
	{ "UNMAP_ALL", VFIO_UNMAP_ALL, 1, 1 },
	{ "UPDATE_VADDR", VFIO_UPDATE_VADDR, 0, -1 },
	{ "DMA_CC", VFIO_DMA_CC_IOMMU, 0, -1 },
	{ "SPAPR_TCE", VFIO_SPAPR_TCE_IOMMU, 0, 0 },
	{ "TYPE1_NESTING", VFIO_TYPE1_NESTING_IOMMU, 0, 0 },
	{ "NOIOMMU", VFIO_NOIOMMU_IOMMU, 0, 0 },
	{ "0", 0, 0, 0 },
	{ "9999", NO_SUCH_EXTENSION, 0, 0 },
	{ "ULONG_MAX", ~0ul, 0, 0 },
};

static void check_alone(void)
{
	int container = (int)must(open_container(), "open /dev/vfio/vfio");
	struct stat status;
	char byte = 0;

	check(fstat(container, &status) == 0 && (status.st_mode & 0777) == 0666,
	      "the node is for everybody (0666)");
	expect(call(container, VFIO_GET_API_VERSION, NULL), VFIO_API_VERSION,
	       "VFIO_GET_API_VERSION");
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		expect(call_number(container, VFIO_CHECK_EXTENSION, extensions[i].extension),
		       extensions[i].before, "CHECK_EXTENSION %s before SET_IOMMU",
		       extensions[i].name);
	expect(call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EINVAL,
	       "SET_IOMMU without a group");
	expect(map_dma(container, NULL, 0, PAGE, READ_WRITE), -EINVAL, "MAP_DMA without a backend");
	expect(unmap_dma(container, 0, PAGE, 0), -EINVAL, "UNMAP_DMA without a backend");
	expect(call(container, NO_SUCH_COMMAND, NULL), -EINVAL,
	       "an unknown command without a backend");
	expect(read(container, &byte, 1) < 0 ? -errno : 0, -EINVAL, "read()");
	expect(write(container, &byte, 1) < 0 ? -errno : 0, -EINVAL, "write()");
	expect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, container, 0) == MAP_FAILED ? -errno : 0,
	       -ENODEV, "mmap()");
	close(container);
}

static void check_choice(void)
{
	struct session session = must_open(EDU, 0);

	expect(call_number(session.container, VFIO_SET_IOMMU, NO_SUCH_EXTENSION), -ENODEV,
	       "SET_IOMMU of a type that nobody has");
	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU), -ENODEV,
	       "SET_IOMMU of another machine's type");
	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_UNMAP_ALL), -EINVAL,
	       "SET_IOMMU of an extension that is no type");
	expect(map_dma(session.container, NULL, 0, PAGE, READ_WRITE), -EINVAL,
	       "MAP_DMA with a group and without a backend");
	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), 0,
	       "SET_IOMMU after those");
	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EINVAL,
	       "SET_IOMMU again");
	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EINVAL,
	       "SET_IOMMU again, of another type");
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
		long answer = call_number(session.container, VFIO_CHECK_EXTENSION,
					  extensions[i].extension);

		if (extensions[i].after >= 0)
			expect(answer, extensions[i].after, "CHECK_EXTENSION %s after SET_IOMMU",
			       extensions[i].name);
		else
			check(answer == 0 || answer == 1,
			      "CHECK_EXTENSION %s after SET_IOMMU is 0 or 1", extensions[i].name);
	}
	expect(call(session.container, NO_SUCH_COMMAND, NULL), -ENOTTY,
	       "an unknown command with a backend");
	expect(call(session.container, VFIO_IOMMU_DIRTY_PAGES, NULL), -ENOTTY,
	       "DIRTY_PAGES is not offered");
	close_session(&session);
}

static void check_last_group_out(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	long locked = locked_kilobytes();
	void *memory = must_allocate(PAGE);

	must(map_dma(session.container, memory, 0, PAGE, READ_WRITE), "MAP_DMA");
	expect(locked_kilobytes() - locked, PAGE / 1024, "what is mapped is charged, in KiB");
	close(session.device);
	session.device = -1;
	expect(call(session.group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0, "UNSET_CONTAINER");
	expect(locked_kilobytes() - locked, 0, "without a group nothing is charged, in KiB");
	expect(map_dma(session.container, memory, 0, PAGE, READ_WRITE), -EINVAL,
	       "MAP_DMA when the last group has gone");
	expect(call_number(session.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 0,
	       "CHECK_EXTENSION UPDATE_VADDR when the last group has gone");
	must(set_container(session.group, session.container), "VFIO_GROUP_SET_CONTAINER again");
	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), 0,
	       "SET_IOMMU for a group that came back");
	expect(map_dma(session.container, memory, 0, PAGE, READ_WRITE), 0,
	       "what was mapped then is not there any more");
	close_session(&session);
	expect(locked_kilobytes() - locked, 0, "after the files were closed nothing is charged");
}

static void check_two_groups(void)
{
	struct session first = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	struct session second = must_join(&first, NVME);
	long locked = locked_kilobytes();
	void *memory = must_allocate(PAGE);

	expect(map_dma(first.container, memory, 0, PAGE, READ_WRITE), 0, "MAP_DMA for two groups");
	expect(locked_kilobytes() - locked, PAGE / 1024, "memory is charged once, in KiB");
	close(second.device);
	close(second.group);
	expect(map_dma(first.container, memory, 0, PAGE, READ_WRITE), -EEXIST,
	       "one group of two leaves, and what was mapped stays");
	close_session(&first);
	expect(locked_kilobytes() - locked, 0, "after the files were closed nothing is charged");
}

static const struct conform_case cases[] = {
	{ "a container alone", check_alone },
	{ "choice of a backend", check_choice },
	{ "the last group goes", check_last_group_out },
	{ "two groups", check_two_groups },
};

const struct conform_part part_container = { "container", cases, ARRAY_SIZE(cases) };
