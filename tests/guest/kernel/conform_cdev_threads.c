/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Races about who has a device, and about what a bound one is attached to. Every answer must be one
 * of those that there can be, and at no time may there be two who have the device.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "cdev_calls.h"

#define THREADS 8
#define ROUNDS 24
#define MSI_WINDOW 0xfee00000ull
#define RANGES 65536u /* so many that looking at all of them takes a while */
#define FILE_SIZE (16u << 20) /* so large that sealing it does */
#define STEP_US 50

static struct crew {
	struct cdev_session session;
	uint32_t second; /* another address space */
	int iommufd;
	pthread_barrier_t barrier;
	_Atomic int file;
	atomic_int owners;
	atomic_uint worked; /* rounds that did what they came for */
	atomic_uint wrong; /* answers that cannot be */
	_Atomic long surprise; /* one of them */
	atomic_bool stop;
	atomic_bool did_one, did_other; /* of two things, of which only one can be done */
	struct iommufd_range *ranges;
	void *memory;
} crew;

struct worker {
	unsigned int number;
	pthread_t thread;
};

/* What is neither a success nor one of the two. Returns whether it was a success. */
static bool judge(long got, long one, long other)
{
	if (got >= 0) {
		atomic_fetch_add(&crew.worked, 1);
		return true;
	}
	if (got != one && got != other) {
		atomic_fetch_add(&crew.wrong, 1);
		atomic_store(&crew.surprise, got);
	}
	return false;
}

static void run_crew(void *(*work)(void *))
{
	struct worker workers[THREADS];

	must(-pthread_barrier_init(&crew.barrier, NULL, THREADS), "a barrier");
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .number = i };
		must(-pthread_create(&workers[i].thread, NULL, work, &workers[i]),
		     "start a thread");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&crew.barrier);
}

static void expect_no_surprise(void)
{
	expect(crew.surprise, 0, "no other answer");
	check(crew.wrong == 0, "nor two who have the device");
}

/* To be called between having the device and giving it back. */
static void own_alone(void)
{
	if (atomic_fetch_add(&crew.owners, 1))
		atomic_fetch_add(&crew.wrong, 1);
	sched_yield();
	atomic_fetch_sub(&crew.owners, 1);
}

static void *bind_or_open_group(void *argument)
{
	const struct worker *worker = argument;

	for (int round = 0; round < ROUNDS; round++) {
		int fd = worker->number % 4 ? open_parked(the_devices[EDU].bdf) : open_group(EDU);
		long result = worker->number % 4 ? bind_device(fd, crew.iommufd) : fd;

		if (judge(result, -EBUSY, worker->number % 4 ? -EINVAL : -EBUSY))
			own_alone();
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void check_owners(void)
{
	crew.iommufd = must_open_iommufd();
	run_crew(bind_or_open_group);
	check(crew.worked > 0, "BIND, opens of the group, and close()");
	expect_no_surprise();
}

/* All bind one file: one of them does. Then all close a copy of it, while some use it. */
static void *bind_one_file(void *argument)
{
	const struct worker *worker = argument;

	for (int round = 0; round < ROUNDS / 2; round++) {
		struct vfio_device_info info = { .argsz = sizeof(info) };
		int copy;

		if (worker->number == 0) {
			atomic_store(&crew.owners, 0);
			atomic_store(&crew.file, open_parked(the_devices[EDU].bdf));
		}
		pthread_barrier_wait(&crew.barrier);
		copy = dup(atomic_load(&crew.file));
		judge(call(copy, VFIO_DEVICE_GET_INFO, &info), -EINVAL, -EINVAL);
		if (judge(bind_device(copy, crew.iommufd), -EINVAL, -EINVAL))
			atomic_fetch_add(&crew.owners, 1);
		pthread_barrier_wait(&crew.barrier);
		if (worker->number == 0)
			close(atomic_load(&crew.file));
		judge(call(copy, VFIO_DEVICE_GET_INFO, &info), 0, 0);
		if (atomic_load(&crew.owners) != 1)
			atomic_fetch_add(&crew.wrong, 1);
		close(copy);
		pthread_barrier_wait(&crew.barrier);
	}
	return NULL;
}

static void check_one_file(void)
{
	crew.iommufd = must_open_iommufd();
	run_crew(bind_one_file);
	check(crew.worked > 0, "BIND of one file by all");
	expect_no_surprise();
}

/* -EBUSY: 7.2 attaches nothing while a device is being reset. */
static void *change_attachment(void *argument)
{
	const struct worker *worker = argument;
	int device = crew.session.device;

	for (int round = 0; round < ROUNDS; round++) {
		uint32_t id;

		switch (worker->number % 4) {
		case 0:
			judge(attach_device(device, round % 2 ? crew.second : crew.session.ioas),
			      -EBUSY, -EBUSY);
			break;
		case 1:
			judge(detach_device(device), 0, 0);
			break;
		case 2:
			judge(call(device, VFIO_DEVICE_RESET, NULL), -EAGAIN, -EAGAIN);
			break;
		default:
			id = must_ioas(crew.session.iommufd);
			judge(attach_device(device, id), -EBUSY, -EBUSY);
			judge(iommufd_destroy(crew.session.iommufd, id), -EBUSY, -EBUSY);
		}
	}
	return NULL;
}

static void check_attachments(void)
{
	long locked = locked_kilobytes();
	void *memory = must_allocate(16 * PAGE);

	crew.session = must_bind(NVME);
	crew.second = must_ioas(crew.session.iommufd);
	must(ioas_map_at(crew.session.iommufd, crew.session.ioas, memory, 16 * PAGE, 0),
	     "IOAS_MAP");
	must(ioas_map_at(crew.session.iommufd, crew.second, memory, 16 * PAGE, 0), "IOAS_MAP");
	run_crew(change_attachment);
	check(crew.worked > 0, "ATTACH, DETACH, RESET, and address spaces that go");
	expect_no_surprise();
	close_cdev_session(&crew.session);
	expect(locked_kilobytes() - locked, 0, "nothing is charged");
}

static void expect_one_of_two(const char *what)
{
	check(crew.worked > 0 && crew.wrong == 0, "%s: only one can be done", what);
	expect(crew.surprise, 0, "%s: no other answer", what);
}

/* At the end of a round. */
static void judge_both(void)
{
	const bool one = atomic_exchange(&crew.did_one, false);
	const bool other = atomic_exchange(&crew.did_other, false);

	if (one && other)
		atomic_fetch_add(&crew.wrong, 1);
}

/* Every thread comes a little later than the one before, and in every round later than before. */
static void come_late(const struct worker *worker, int round)
{
	usleep(worker->number * (unsigned int)round * STEP_US);
}

/* What is reserved for the device may be what has to be possible, or the device attached. */
static void *allow_or_attach(void *argument)
{
	static const struct iommufd_range window = { MSI_WINDOW, MSI_WINDOW + PAGE - 1 };
	const struct worker *worker = argument;
	const struct cdev_session *edu = &crew.session;

	for (int round = 0; round < ROUNDS; round++) {
		if (worker->number == 0)
			judge(ioas_allow(edu->iommufd, edu->ioas, crew.ranges, RANGES), 0, 0);
		pthread_barrier_wait(&crew.barrier);
		come_late(worker, round);
		if (worker->number == 0 &&
		    judge(attach_device(edu->device, edu->ioas), -EADDRINUSE, -EADDRINUSE))
			atomic_store(&crew.did_one, true);
		if (worker->number != 0 && judge(ioas_allow(edu->iommufd, edu->ioas, &window, 1),
						 -EADDRINUSE, -EADDRINUSE))
			atomic_store(&crew.did_other, true);
		pthread_barrier_wait(&crew.barrier);
		if (worker->number == 0) {
			judge_both();
			judge(detach_device(edu->device), 0, 0);
		}
	}
	return NULL;
}

static void check_allowed(void)
{
	crew.ranges = must_allocate(RANGES * sizeof(*crew.ranges));
	for (uint64_t i = 0; i < RANGES; i++)
		crew.ranges[i] = (struct iommufd_range){ (1ull << 32) + 2 * i * PAGE,
							 (1ull << 32) + (2 * i + 1) * PAGE - 1 };
	crew.session = must_bind_only(EDU, must_open_iommufd());
	crew.session.ioas = must_ioas(crew.session.iommufd);
	run_crew(allow_or_attach);
	expect_one_of_two("ALLOW_IOVAS of what is reserved, and ATTACH");
}

/* To an address space that it cannot be attached to; so it stays, and so does what is reserved. */
static void *move_in_vain(void *argument)
{
	const struct worker *worker = argument;
	const struct cdev_session *edu = &crew.session;

	for (int round = 0; worker->number == 0 && round < ROUNDS; round++) {
		if (judge(attach_device(edu->device, crew.second), -EADDRINUSE, -EADDRINUSE))
			atomic_fetch_add(&crew.wrong, 1);
	}
	if (worker->number == 0)
		atomic_store(&crew.stop, true);
	while (!atomic_load(&crew.stop)) {
		if (judge(ioas_map_at(edu->iommufd, edu->ioas, crew.memory, PAGE, MSI_WINDOW),
			  -EINVAL, -EEXIST))
			atomic_fetch_add(&crew.wrong, 1);
	}
	return NULL;
}

static void check_move_in_vain(void)
{
	crew.session = must_bind(EDU);
	crew.second = must_ioas(crew.session.iommufd);
	crew.memory = must_allocate(PAGE);
	must(ioas_map_at(crew.session.iommufd, crew.second, crew.memory, PAGE, MSI_WINDOW), "MAP");
	run_crew(move_in_vain);
	check(crew.wrong == 0, "ATTACH that fails, and MAP of what is reserved: neither is done");
	expect(crew.surprise, 0, "ATTACH that fails: no other answer");
	expect(iommufd_destroy(crew.session.iommufd, crew.session.ioas), -EBUSY,
	       "ATTACH that fails leaves the device attached");
}

static int new_file(void)
{
	int file = memfd_create("weir", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (file < 0 || fallocate(file, 0, 0, FILE_SIZE)) {
		atomic_store(&crew.surprise, -errno);
		atomic_fetch_add(&crew.wrong, 1);
	}
	return file;
}

/* A file is sealed against writing, or a device writes it. */
static void *seal_or_map(void *argument)
{
	const struct worker *worker = argument;
	const struct cdev_session *edu = &crew.session;

	for (int round = 0; round < ROUNDS; round++) {
		if (worker->number == 0)
			atomic_store(&crew.file, new_file());
		pthread_barrier_wait(&crew.barrier);
		if (worker->number == 0 &&
		    judge(fcntl(crew.file, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0, -EBUSY, -EBUSY))
			atomic_store(&crew.did_one, true);
		if (worker->number == 1) {
			come_late(worker, round);
			if (judge(ioas_map_file_at(edu->iommufd, edu->ioas, crew.file, 0, PAGE, 0,
						   IOAS_READ_WRITE),
				  -EPERM, -EPERM))
				atomic_store(&crew.did_other, true);
		}
		pthread_barrier_wait(&crew.barrier);
		if (worker->number == 0) {
			judge_both();
			judge(ioas_unmap_range(edu->iommufd, edu->ioas, 0, UINT64_MAX), 0, 0);
			close(crew.file);
		}
	}
	return NULL;
}

static void check_seals(void)
{
	crew.session = must_bind(EDU);
	run_crew(seal_or_map);
	expect_one_of_two("F_SEAL_WRITE, and MAP_FILE for writing");
}

/* One thread takes the driver away and gives it back; the node's name changes. */
static void *lose_driver(void *argument)
{
	const struct worker *worker = argument;
	const char *bdf = the_devices[EDU].bdf;

	if (worker->number == 0) {
		for (int round = 0; round < ROUNDS / 2; round++) {
			judge(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), 0, 0);
			judge(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/bind"), 0, 0);
		}
		atomic_store(&crew.stop, true);
		return NULL;
	}
	while (!atomic_load(&crew.stop)) {
		struct vfio_device_info info = { .argsz = sizeof(info) };
		int fd = open_parked(bdf);
		long result;

		if (fd < 0)
			continue;
		/* -EAGAIN: the bus is at work on the device, which cannot be reset. */
		result = bind_device(fd, crew.iommufd);
		if (result != -EAGAIN && judge(result, -ENODEV, -EINVAL)) {
			own_alone();
			judge(call(fd, VFIO_DEVICE_GET_INFO, &info), 0, 0);
		}
		close(fd);
	}
	return NULL;
}

static void check_driver(void)
{
	crew.iommufd = must_open_iommufd();
	run_crew(lose_driver);
	check(crew.worked > 0, "BIND while the driver comes and goes");
	expect_no_surprise();
	must(bind_device((int)must(open_parked(the_devices[EDU].bdf), "open the node"),
			 crew.iommufd),
	     "BIND");
	check(true, "afterwards the device can be bound");
}

static const struct conform_case cases[] = {
	{ "who has a device", check_owners },
	{ "one file", check_one_file },
	{ "attachments", check_attachments },
	{ "what is allowed", check_allowed },
	{ "an attachment that fails", check_move_in_vain },
	{ "seals", check_seals },
	{ "the driver", check_driver },
};

const struct conform_part part_cdev_threads = { "cdev-threads", cases, ARRAY_SIZE(cases) };
