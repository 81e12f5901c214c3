/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices without an IOMMU, in a guest that has none: what is left of them when files are closed in
 * any order, and while threads open one that comes and goes. They are taken for the part "noiommu",
 * which is to be run after this one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "cdev_calls.h"

#define THREADS 2
#define ROUNDS 16

static bool answers(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return call(device, VFIO_DEVICE_GET_INFO, &info) == 0;
}

static struct session must_open_at(bool context)
{
	struct session session = { -1, -1, -1 };

	session.container = context ? must_open_iommufd()
				    : (int)must(open_container(), "open the container");
	session.group = (int)must(open_group(EDU), "open the group");
	must(set_container(session.group, session.container), "SET_CONTAINER");
	must(call_number(session.container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "SET_IOMMU");
	session.device = (int)must(get_device(session.group, the_devices[EDU].bdf),
				   "GET_DEVICE_FD");
	return session;
}

/* What a process has open: a container or a context, a group, a device, a BAR that is mapped. */
static void close_in_order(const int order[3], bool context)
{
	static const char *const names[] = { "container", "group", "device" };
	struct session session = must_open_at(context);
	int fds[] = { session.container, session.group, session.device };
	size_t size = must_region(session.device, 0).size;
	void *bar = must_map_region(session.device, 0);

	about("%s: %s, %s, %s", context ? "/dev/iommu" : "/dev/vfio/vfio", names[order[0]],
	      names[order[1]], names[order[2]]);
	set_command(session.device, true, true);
	for (int i = 0; i < 3; i++)
		close(fds[order[i]]);
	check(readable(bar), "the BAR's mapping holds the device");
	expect(open_group(EDU), -EBUSY, "so that its group is in use");
	munmap(bar, size);
	expect(hardware_config(EDU, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0,
	       "bus mastering is off when all is closed");
	session = must_open_at(context);
	check(answers(session.device), "all of it can be had again");
	close_session(&session);
}

static void check_orders(void)
{
	static const int orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		close_in_order(orders[i], false);
		close_in_order(orders[i], true);
	}
}

/* Those who open the device, until they are told to stop. */
static struct {
	atomic_uint opened;
	_Atomic long surprise; /* an answer that cannot be */
	atomic_bool stop;
} users;

/* The group is another one, with another number perhaps, whenever the device has come back. */
static int open_group_now(const char *bdf)
{
	char group[16], node[48];
	int fd;

	sysfs_link(group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	snprintf(node, sizeof(node), "/dev/vfio/noiommu-%s", group);
	fd = open(node, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Whatever is possible of a device that is had by others, too, and is about to go: whoever binds or
 * unbinds it has its lock, without which it is not reset, and not opened (-EAGAIN).
 */
static bool is_possible(long answer)
{
	static const long possible[] = { -ENOENT, -ENXIO, -ENODEV, -EBUSY, -EAGAIN, -EINVAL };

	for (size_t i = 0; i < ARRAY_SIZE(possible); i++) {
		if (answer == possible[i])
			return true;
	}
	return answer >= 0;
}

/* The first answer that is an error, or the device's file. */
static long open_all(struct session *session, const char *bdf)
{
	long rc;

	session->container = open_container();
	session->group = open_group_now(bdf);
	if (session->container < 0 || session->group < 0)
		return session->container < 0 ? session->container : session->group;
	rc = set_container(session->group, session->container);
	if (!rc)
		rc = call_number(session->container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU);
	if (!rc)
		rc = session->device = (int)get_device(session->group, bdf);
	return rc;
}

static void *use(void *bdf)
{
	while (!atomic_load(&users.stop)) {
		struct session session = { -1, -1, -1 };
		long rc = open_all(&session, bdf);

		if (!is_possible(rc))
			atomic_store(&users.surprise, rc);
		if (session.device >= 0)
			atomic_fetch_add(&users.opened, 1);
		close_session(&session);
	}
	return NULL;
}

static void check_threads(void)
{
	char *bdf = the_devices[MEMORY].bdf;
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		must(-pthread_create(&threads[i], NULL, use, bdf), "start a thread");
	for (int i = 0; i < ROUNDS; i++) {
		unsigned int before = atomic_load(&users.opened);

		/* The case's time ends this, if nobody ever has it. */
		while (atomic_load(&users.opened) == before)
			usleep(100);
		must(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind it");
		must(type1_bind(bdf), "bind it again");
	}
	atomic_store(&users.stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	expect(users.surprise, 0, "opened while it comes and goes, it has no other answer");
	check(open_group_now(bdf) >= 0, "and nobody has it in the end");
}

static const struct conform_case cases[] = {
	{ "files closed in every order", check_orders },
	{ "a device that comes and goes", check_threads },
};

const struct conform_part part_noiommu_life = { "noiommu-life", cases, ARRAY_SIZE(cases) };
