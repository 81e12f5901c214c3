/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a device's own node, its files and what they hold live: files closed in every order, by
 * several processes, and a driver that goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "cdev_calls.h"

#define NO_SUCH_FD 999
#define PATIENCE 600 /* tenths of a second */

/* What a process has: a file of /dev/iommu, one of the device, a BAR's mapping. */
static void close_in_order(const int order[3])
{
	static const char *const names[] = { "/dev/iommu", "the device", "its copy" };
	struct cdev_session session = must_bind(EDU);
	int fds[] = { session.iommufd, session.device, dup(session.device) };
	size_t size = must_region(session.device, 0).size;
	long locked = locked_kilobytes();
	void *memory = must_allocate(16 * PAGE), *bar;
	char label[64];

	snprintf(label, sizeof(label), "%s, %s, %s", names[order[0]], names[order[1]],
		 names[order[2]]);
	about("%s", label);
	must(ioas_map_at(session.iommufd, session.ioas, memory, 16 * PAGE, 0), "IOAS_MAP");
	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	for (int i = 0; i < 3; i++)
		close(fds[order[i]]);
	check(readable(bar), "a BAR's mapping holds the device");
	expect(open_group(EDU), -EBUSY, "so that its group cannot be had");
	munmap(bar, size);
	expect(locked_kilobytes() - locked, 0, "unmapped, nothing is charged");
	expect(hardware_config(EDU, PCI_COMMAND, 2) & PCI_COMMAND_MASTER, 0,
	       "bus mastering is off");
	session = must_bind(EDU);
	check(true, "it can be bound again");
	close_cdev_session(&session);
	munmap(memory, 16 * PAGE);
}

static void check_orders(void)
{
	static const int orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		close_in_order(orders[i]);
}

/* A child binds and goes; a child has the file and closes it last. */
static void check_fork(void)
{
	const char *bdf = the_devices[EDU].bdf;
	int fd = (int)must(open_parked(bdf), "open the node");
	int iommufd = must_open_iommufd();
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int go[2], status = 0;
	char byte = 0;
	pid_t child;

	must(pipe(go), "pipe()");
	child = fork();
	if (child == 0)
		_exit(bind_device(fd, iommufd) > 0 ? 0 : 1);
	waitpid(child, &status, 0);
	expect(WEXITSTATUS(status), 0, "BIND by a child");
	expect(call(fd, VFIO_DEVICE_GET_INFO, &info), 0, "which has bound it for its parent, too");
	child = fork();
	if (child == 0) {
		close(go[1]);
		_exit(read(go[0], &byte, 1) ? 1 : call(fd, VFIO_DEVICE_GET_INFO, &info) != 0);
	}
	close(go[0]);
	close(fd);
	expect(open_group(EDU), -EBUSY, "a child's file holds the device");
	close(go[1]);
	waitpid(child, &status, 0);
	expect(WEXITSTATUS(status), 0, "and works");
	fd = open_group(EDU);
	expect(fd < 0 ? fd : 0, 0, "until it is closed");
}

static void check_nodes(void)
{
	char name[32], path[64], numbers[32], ours[32], text[64];
	const char *bdf = the_devices[EDU].bdf;
	struct stat status;

	cdev_name(name, sizeof(name), bdf);
	must(name[0] ? 0 : -ENOENT, "find the device below its PCI function");
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	must(stat(path, &status) ? -errno : 0, "stat() of the node");
	check(S_ISCHR(status.st_mode) && (status.st_mode & 0777) == 0600 && status.st_uid == 0,
	      "a character device for root");
	sysfs_read(numbers, sizeof(numbers), "/sys/bus/pci/devices/%s/vfio-dev/%s/dev", bdf, name);
	snprintf(ours, sizeof(ours), "%u:%u", major(status.st_rdev), minor(status.st_rdev));
	check(strcmp(numbers, ours) == 0, "of the numbers that sysfs tells");
	sysfs_link(text, sizeof(text), "/sys/class/vfio-dev/%s", name);
	check(strcmp(text, name) == 0, "its class is vfio-dev");
	sysfs_link(text, sizeof(text), "/sys/class/vfio-dev/%s/device", name);
	check(strcmp(text, bdf) == 0, "its parent is the PCI function");
	must(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind");
	check(!sysfs_exists("%s", path) && !sysfs_exists("/sys/class/vfio-dev/%s", name),
	      "it goes with its driver");
	must(type1_bind(bdf), "bind");
	cdev_name(name, sizeof(name), bdf);
	check(name[0] && sysfs_exists("/dev/vfio/devices/%s", name), "and comes back with it");
}

/* A thread that takes the driver from edu, which may have to wait. */
struct unbinding {
	pthread_t thread;
	atomic_bool done;
	int result;
};

static void *unbind_edu(void *argument)
{
	struct unbinding *unbinding = argument;

	unbinding->result = sysfs_write(the_devices[EDU].bdf,
					"/sys/bus/pci/drivers/vfio-pci/unbind");
	atomic_store(&unbinding->done, true);
	return NULL;
}

static void must_unbind(struct unbinding *unbinding)
{
	*unbinding = (struct unbinding){ .done = false };
	must(-pthread_create(&unbinding->thread, NULL, unbind_edu, unbinding), "start a thread");
}

static int end_unbinding(struct unbinding *unbinding)
{
	pthread_join(unbinding->thread, NULL);
	return unbinding->result;
}

/* The driver is to go while a file is bound: it waits, and its user is asked. */
static void check_unbind(void)
{
	static const uint32_t on = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	struct cdev_session edu = must_bind(EDU);
	int parked = open_parked(the_devices[EDU].bdf), other;
	int32_t request = eventfd(0, 0);
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct unbinding unbinding;
	uint64_t asked = 0;
	char link[64];

	must(set_irqs(edu.device, on, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &request), "SET_IRQS");
	must_unbind(&unbinding);
	must(read(request, &asked, sizeof(asked)) == sizeof(asked) ? 0 : -EIO, "read the request");
	check(asked > 0, "who has bound it is asked for it");
	expect(call(edu.device, VFIO_DEVICE_GET_INFO, &info), 0,
	       "the file works until it is closed");
	check(attach_device(edu.device, edu.ioas) > 0, "and can be attached");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", parked);
	other = open(link, O_RDWR);
	check(other < 0 || bind_device(other, edu.iommufd) < 0,
	      "a file opened by another name cannot be bound");
	check(bind_device(parked, edu.iommufd) < 0, "nor one that was parked");
	close(other);
	close(parked);
	close(edu.device);
	expect(end_unbinding(&unbinding), 0, "unbind returns when it is closed");
	must(type1_bind(the_devices[EDU].bdf), "bind");
	edu = must_bind(EDU);
	check(true, "the device can be bound again");
	close_cdev_session(&edu);
}

/* A parked file has nothing that the driver would have to wait for. */
static void check_unbind_parked(void)
{
	const char *bdf = the_devices[EDU].bdf;
	int fd = (int)must(open_parked(bdf), "open the node");
	int iommufd = must_open_iommufd();
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct unbinding unbinding;
	char link[64];

	must_unbind(&unbinding);
	for (int i = 0; i < PATIENCE && !atomic_load(&unbinding.done); i++)
		usleep(100 * 1000);
	if (!check(atomic_load(&unbinding.done), "unbind does not wait for a parked file")) {
		close(fd);
		must(end_unbinding(&unbinding), "unbind");
		must(type1_bind(bdf), "bind");
		return;
	}
	expect(end_unbinding(&unbinding), 0, "unbind");
	expect(bind_device(fd, iommufd), -ENODEV, "BIND of a file whose device has gone");
	expect(bind_device(fd, NO_SUCH_FD), -ENODEV, "also with a closed file");
	expect(call(fd, VFIO_DEVICE_GET_INFO, &info), -EINVAL, "GET_INFO of it");
	expect(attach_device(fd, 1), -EINVAL, "ATTACH of it");
	expect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -errno : 0, -EINVAL,
	       "mmap() of it");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	expect(open(link, O_RDWR) < 0 ? -errno : 0, -ENODEV, "another open of it");
	must(type1_bind(bdf), "bind");
	expect(bind_device(fd, iommufd), -ENODEV, "BIND when another one has come in its place");
	close(fd);
	fd = (int)must(open_parked(bdf), "open the new node");
	check(bind_device(fd, iommufd) > 0, "BIND of the new one");
}

static const struct conform_case cases[] = {
	{ "files closed in every order", check_orders },
	{ "fork()", check_fork },
	{ "nodes", check_nodes },
	{ "unbind while bound", check_unbind },
	{ "unbind while parked", check_unbind_parked },
};

const struct conform_part part_cdev_life = { "cdev-life", cases, ARRAY_SIZE(cases) };
