/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same calls from many threads at once. Each does a number of rounds; what counts is that every
 * answer is one of those that there can be, and that nothing is left at the end.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

#define THREADS 8
#define ROUNDS 60
#define MIB (1u << 20)

struct crew {
	struct session session;
	struct session second;
	char *memory;
	volatile uint32_t *bar;
	atomic_uint worked; /* rounds that did what they came for */
	atomic_uint wrong; /* answers that cannot be */
	atomic_bool stop;
};

struct worker {
	struct crew *crew;
	unsigned int number;
	pthread_t thread;
};

static void judge(struct crew *crew, long got, long other)
{
	if (got >= 0)
		atomic_fetch_add(&crew->worked, 1);
	else if (got != other)
		atomic_fetch_add(&crew->wrong, 1);
}

/* Every thread runs work; returns when all are done. */
static void run_crew(struct crew *crew, void *(*work)(void *))
{
	struct worker workers[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .crew = crew, .number = i };
		must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) ? -EAGAIN : 0,
		     "start a thread");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void *map_the_same(void *argument)
{
	struct crew *crew = ((struct worker *)argument)->crew;

	for (int round = 0; round < ROUNDS; round++) {
		long taken;

		judge(crew,
		      map_dma(crew->session.container, crew->memory, 0, 16 * PAGE, READ_WRITE),
		      -EEXIST);
		taken = unmap_dma(crew->session.container, 0, 16 * PAGE, 0);
		if (taken != 0 && taken != 16 * PAGE)
			atomic_fetch_add(&crew->wrong, 1);
	}
	return NULL;
}

static void *map_their_own(void *argument)
{
	struct worker *worker = argument;
	struct crew *crew = worker->crew;
	uint64_t iova = (uint64_t)worker->number * MIB;

	for (int round = 0; round < ROUNDS; round++) {
		judge(crew,
		      map_dma(crew->session.container, crew->memory, iova, 16 * PAGE, READ_WRITE),
		      0);
		if (unmap_dma(crew->session.container, iova, 16 * PAGE, 0) != 16 * PAGE)
			atomic_fetch_add(&crew->wrong, 1);
	}
	return NULL;
}

static void check_maps(void)
{
	struct crew crew = { .session = must_open(EDU, VFIO_TYPE1v2_IOMMU) };
	long available = dma_available(crew.session.container), locked = locked_kilobytes();

	crew.memory = must_allocate(16 * PAGE);
	run_crew(&crew, map_the_same);
	check(crew.worked > 0 && crew.wrong == 0, "MAP_DMA and UNMAP_DMA of one area");
	unmap_dma(crew.session.container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	crew.worked = crew.wrong = 0;
	run_crew(&crew, map_their_own);
	check(crew.worked == THREADS * ROUNDS && crew.wrong == 0,
	      "MAP_DMA and UNMAP_DMA of areas of their own");
	expect(dma_available(crew.session.container), available, "all areas have been given back");
	expect(locked_kilobytes() - locked, 0, "nothing is charged");
}

static void *open_device(void *argument)
{
	struct crew *crew = ((struct worker *)argument)->crew;

	for (int round = 0; round < ROUNDS / 4; round++) {
		long fd = get_device(crew->session.group, the_devices[EDU].bdf);

		judge(crew, fd, 0);
		if (fd >= 0)
			close((int)fd);
	}
	return NULL;
}

static void check_devices(void)
{
	struct crew crew = { .session = must_open(EDU, VFIO_TYPE1v2_IOMMU) };

	close(crew.session.device);
	run_crew(&crew, open_device);
	check(crew.worked == THREADS * (ROUNDS / 4) && crew.wrong == 0,
	      "GET_DEVICE_FD and close(), first open and last close included");
	expect(call(crew.session.group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0,
	       "UNSET_CONTAINER after all were closed");
}

/* Everything from an open of the group on: whoever comes first has it, the others hear -EBUSY. */
static void *open_all(void *argument)
{
	struct crew *crew = ((struct worker *)argument)->crew;

	for (int round = 0; round < ROUNDS / 4; round++) {
		int group = open_group(EDU), container;

		judge(crew, group, -EBUSY);
		if (group < 0)
			continue;
		container = open_container();
		if (container < 0 || set_container(group, container) < 0 ||
		    call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) < 0 ||
		    map_dma(container, crew->memory, 0, 16 * PAGE, READ_WRITE) < 0)
			atomic_fetch_add(&crew->wrong, 1);
		else if (round % 2)
			close((int)get_device(group, the_devices[EDU].bdf));
		close(round % 3 ? group : container);
		close(round % 3 ? container : group);
	}
	return NULL;
}

static void check_groups(void)
{
	struct crew crew = { .memory = must_allocate(16 * PAGE) };
	long locked = locked_kilobytes();

	run_crew(&crew, open_all);
	check(crew.worked > 0 && crew.wrong == 0, "a group, its container, mappings, and close()");
	expect(locked_kilobytes() - locked, 0, "nothing is charged");
}

/* Several groups come to and leave one container while others map. */
static void *join_or_map(void *argument)
{
	struct worker *worker = argument;
	struct crew *crew = worker->crew;

	for (int round = 0; round < ROUNDS / 2; round++) {
		if (worker->number == 0) {
			int group = open_group(NVME);

			judge(crew,
			      group < 0 ? group : set_container(group, crew->session.container), 0);
			close(group);
		} else {
			map_their_own(worker);
			round += ROUNDS / 4;
		}
	}
	return NULL;
}

static void check_joins(void)
{
	struct crew crew = { .session = must_open(EDU, VFIO_TYPE1v2_IOMMU),
			     .memory = must_allocate(16 * PAGE) };
	long locked = locked_kilobytes();

	run_crew(&crew, join_or_map);
	check(crew.worked > 0 && crew.wrong == 0, "a group comes and goes while others map");
	expect(locked_kilobytes() - locked, 0, "nothing is charged");
}

/* What any step can say when the device goes, or comes back to another, in between. */
static bool may_fail_so(long result)
{
	static const int errors[] = { ENOENT, ENXIO, ENODEV, EBUSY, EINVAL, EAGAIN };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (result == -errors[i])
			return true;
	}
	return result >= 0;
}

/* All from the group to the device, and closed in one order or another. */
static void open_what_there_is(struct crew *crew, int round)
{
	int group = open_group(EDU), container = open_container();
	long results[] = { group, 0, 0, 0 };

	if (group >= 0) {
		results[1] = set_container(group, container);
		results[2] = call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
		results[3] = get_device(group, the_devices[EDU].bdf);
	}
	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		atomic_fetch_add(&crew->wrong, !may_fail_so(results[i]));
	if (round % 2)
		close(container);
	close(group);
	if (group >= 0 && results[3] >= 0) {
		atomic_fetch_add(&crew->worked, 1);
		close((int)results[3]);
	}
	if (!(round % 2))
		close(container);
}

static void *bind_or_open(void *argument)
{
	struct worker *worker = argument;
	struct crew *crew = worker->crew;
	const char *bdf = the_devices[EDU].bdf;

	if (worker->number) {
		for (int round = 0; !atomic_load(&crew->stop); round++)
			open_what_there_is(crew, round);
		return NULL;
	}
	for (int round = 0; round < ROUNDS; round++) {
		if (sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/unbind") != 0 ||
		    sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/bind") != 0)
			atomic_fetch_add(&crew->wrong, 1);
	}
	/* Somebody has had it by then, or never will. */
	for (int tries = 0; tries < 1000 && !atomic_load(&crew->worked); tries++)
		usleep(10000);
	atomic_store(&crew->stop, true);
	return NULL;
}

static void check_removal(void)
{
	struct crew crew = { .worked = 0 };
	struct session session;

	run_crew(&crew, bind_or_open);
	check(crew.worked > 0 && crew.wrong == 0,
	      "a device is unbound and bound while others open it");
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	check(session.device >= 0, "and can be opened afterwards");
}

static void *change_interrupts(void *argument)
{
	static const uint32_t on = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	static const uint32_t none = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	struct worker *worker = argument;
	struct crew *crew = worker->crew;
	int32_t fds[2] = { eventfd(0, 0), eventfd(0, 0) };
	uint32_t index = worker->number % 4 ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;

	for (int round = 0; round < ROUNDS / 4; round++) {
		uint32_t count = index == VFIO_PCI_MSIX_IRQ_INDEX ? 2 : 1;

		/* -EINVAL: the other kind is on, or it is off, or was switched on with fewer. */
		judge(crew, set_irqs(crew->session.device, on, index, 0, count, fds), -EINVAL);
		judge(crew, set_irqs(crew->session.device, none, index, 0, count, NULL), -EINVAL);
		if (round % 4 == 3)
			judge(crew, set_irqs(crew->session.device, none, index, 0, 0, NULL),
			      -EINVAL);
	}
	close(fds[0]);
	close(fds[1]);
	return NULL;
}

static void check_interrupts(void)
{
	struct crew crew = { .session = must_open(NIC, VFIO_TYPE1v2_IOMMU) };

	run_crew(&crew, change_interrupts);
	check(crew.worked > 0 && crew.wrong == 0, "SET_IRQS of two kinds");
}

/* Memory off and on, resets, configuration space; one thread reads the BAR all the while. */
static void *lose_and_regain(void *argument)
{
	struct worker *worker = argument;
	struct crew *crew = worker->crew;
	uint32_t id = 0;

	for (int round = 0; round < ROUNDS / 4; round++) {
		switch (worker->number % 4) {
		case 0:
			while (!atomic_load(&crew->stop) && round++ < 50 * ROUNDS)
				atomic_fetch_add(&crew->worked, readable(crew->bar));
			break;
		case 1:
			set_command(crew->session.device, false, true);
			set_command(crew->session.device, true, true);
			break;
		case 2:
			judge(crew, call(crew->session.device, VFIO_DEVICE_RESET, NULL), -EAGAIN);
			break;
		default:
			id = config_read(crew->session.device, 0, 4);
			judge(crew, id == 0x00101b36 ? 0 : -EIO, 0);
		}
	}
	return NULL;
}

static void check_losses(void)
{
	struct crew crew = { .session = must_open(NVME, VFIO_TYPE1v2_IOMMU) };
	struct worker reader, others[5];

	set_command(crew.session.device, true, true);
	crew.bar = must_map_region(crew.session.device, 0);
	reader = (struct worker){ .crew = &crew, .number = 0 };
	must(pthread_create(&reader.thread, NULL, lose_and_regain, &reader) ? -EAGAIN : 0,
	     "a thread");
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = (struct worker){ .crew = &crew, .number = i % 3 + 1 };
		must(pthread_create(&others[i].thread, NULL, lose_and_regain, &others[i]) ? -EAGAIN
											  : 0,
		     "a thread");
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		pthread_join(others[i].thread, NULL);
	atomic_store(&crew.stop, true);
	pthread_join(reader.thread, NULL);
	check(crew.worked > 0 && crew.wrong == 0,
	      "resets, memory off and on, reads of a mapping and of configuration space");
	set_command(crew.session.device, true, true);
	check(readable(crew.bar), "afterwards the mapping works");
}

static const struct conform_case cases[] = {
	{ "mappings", check_maps },	    { "devices", check_devices },
	{ "groups", check_groups },	    { "groups of a container", check_joins },
	{ "removal", check_removal },	    { "interrupts", check_interrupts },
	{ "loss of access", check_losses },
};

const struct conform_part part_threads = { "threads", cases, ARRAY_SIZE(cases) };
