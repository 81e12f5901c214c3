/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two users, each with a device and a context of their own: neither reaches what the other has, by
 * ids or by DMA. As in the part about isolation, data are what tells, and the IOMMU reports faults.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../edu.h"
#include "cdev_calls.h"

#define INTRUDER "lab" /* of the lab's roots; has edu */
#define VICTIM "nobody"
#define SAME_IOVA 0x400000u /* that both have; edu reaches the first 256 MiB */
#define VICTIMS_IOVA 0x800000u /* that the intruder has not */
#define NOBODYS_IOVA 0xc00000u
#define SPACES 16u /* the victim's, so that the last id is none of the intruder's */
#define DATA 0x5a
#define POISON 0xa5
#define KIB 1024

/* The victim's, by number. */
struct ids {
	uint32_t device, ioas, table, last;
};

static void must_give_node(enum conform_kind kind, const char *name)
{
	const struct passwd *user = getpwnam(name);
	char device[32], path[64];

	must(user ? 0 : -ENOENT, "find the user %s", name);
	cdev_name(device, sizeof(device), the_devices[kind].bdf);
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", device);
	must(chown(path, user->pw_uid, user->pw_gid) ? -errno : 0, "give %s a node", name);
}

static void must_become(const char *name)
{
	const struct passwd *user = getpwnam(name);

	must(user ? 0 : -ENOENT, "find the user %s", name);
	must(setgid(user->pw_gid) || setuid(user->pw_uid) ? -errno : 0, "become %s", name);
}

static bool holds(const unsigned char *memory, unsigned char value, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (memory[i] != value)
			return false;
	}
	return true;
}

/* Has memory mapped for its device, tells its ids, and looks after the intruder has been there. */
static void be_victim(int ready, int done)
{
	unsigned char *memory = must_allocate(2 * PAGE);
	struct cdev_session nvme;
	long pinned = pinned_kilobytes();
	struct ids ids;
	char byte;

	must_become(VICTIM);
	nvme = must_bind_only(NVME, must_open_iommufd());
	nvme.ioas = must_ioas(nvme.iommufd);
	ids = (struct ids){ .device = nvme.id, .ioas = nvme.ioas };
	ids.table = (uint32_t)must(attach_device(nvme.device, nvme.ioas), "ATTACH");
	for (unsigned int i = 0; i < SPACES; i++)
		ids.last = must_ioas(nvme.iommufd);
	memset(memory, POISON, 2 * PAGE);
	must(ioas_map_at(nvme.iommufd, nvme.ioas, memory, PAGE, SAME_IOVA), "MAP");
	must(ioas_map_at(nvme.iommufd, nvme.ioas, memory + PAGE, PAGE, VICTIMS_IOVA), "MAP");
	must(ioas_copy_to(nvme.iommufd, ids.last, VICTIMS_IOVA, nvme.ioas, VICTIMS_IOVA, PAGE,
			  IOAS_READ_WRITE),
	     "COPY");
	must(write(ready, &ids, sizeof(ids)) == sizeof(ids) ? 0 : -EIO, "tell the ids");

	must(read(done, &byte, 1), "wait for the intruder");
	check(holds(memory, POISON, 2 * PAGE), "the other user's memory is as it was");
	expect(pinned_kilobytes() - pinned, 2 * PAGE / KIB, "and is still pinned");
	expect(attach_device(nvme.device, nvme.ioas), ids.table,
	       "the other user's device is where it was");
	expect(ioas_unmap_range(nvme.iommufd, nvme.ioas, 0, UINT64_MAX), 2 * PAGE,
	       "the other user's areas are there");
	expect(ioas_unmap_range(nvme.iommufd, ids.last, VICTIMS_IOVA, PAGE), PAGE,
	       "also the one that was copied");
}

/* No object of the other user is one here. */
static void check_ids(const struct cdev_session *edu, const struct ids *ids, void *memory)
{
	const int fd = edu->iommufd;
	struct iommufd_hw_info info = { .size = sizeof(info), .device = ids->last };

	check(ids->device == edu->id && ids->ioas == edu->ioas,
	      "the first objects of two contexts have the same ids");
	expect(ioas_map_at(fd, ids->last, memory, PAGE, 0), -ENOENT, "MAP");
	expect(ioas_unmap_range(fd, ids->last, 0, UINT64_MAX), -ENOENT, "UNMAP");
	expect(ioas_copy_to(fd, edu->ioas, VICTIMS_IOVA, ids->last, VICTIMS_IOVA, PAGE, IOAS_READ),
	       -ENOENT, "COPY from there");
	expect(ioas_copy_to(fd, ids->last, 0, edu->ioas, 0, PAGE, IOAS_READ), -ENOENT,
	       "COPY to there");
	expect(ioas_copy_to(fd, edu->ioas, VICTIMS_IOVA, edu->ioas, VICTIMS_IOVA, PAGE, IOAS_READ),
	       -ENOENT, "COPY of what the other has mapped");
	expect(ioas_allow(fd, ids->last, NULL, 0), -ENOENT, "ALLOW_IOVAS");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ids->last, 0), -ENOENT,
	       "OPTION HUGE_PAGES");
	expect(vfio_ioas(fd, VFIO_IOAS_SET, ids->last), -ENOENT, "VFIO_IOAS SET");
	expect(attach_device(edu->device, ids->last), -ENOENT, "ATTACH");
	expect(hwpt_alloc(fd, ids->last, edu->ioas), -ENOENT, "HWPT_ALLOC");
	expect(call(fd, IOMMUFD_HW_INFO, &info), -ENOENT, "GET_HW_INFO");
	expect(iommufd_destroy(fd, ids->last), -ENOENT, "DESTROY");
}

static void check_dma(const struct cdev_session *edu, unsigned char *memory)
{
	void *bar;

	set_command(edu->device, true, true);
	bar = must_map_region(edu->device, 0);
	memset(memory, DATA, PAGE);
	must(edu_copy(bar, SAME_IOVA, PAGE, EDU_FROM_MEMORY) ? 0 : -EIO, "load the engine");
	memset(memory, 0, PAGE);
	edu_copy(bar, SAME_IOVA, PAGE, EDU_TO_MEMORY);
	check(holds(memory, DATA, PAGE), "DMA to an IOVA that both have is to one's own memory");
	edu_copy(bar, VICTIMS_IOVA, PAGE, EDU_TO_MEMORY);
	edu_copy(bar, NOBODYS_IOVA, PAGE, EDU_TO_MEMORY);
	check(holds(memory, DATA, PAGE), "elsewhere it is to nothing of one's own");
}

static void be_intruder(const struct ids *ids)
{
	unsigned char *memory = must_allocate(PAGE);
	struct cdev_session edu;

	must_become(INTRUDER);
	expect(open_parked(the_devices[NVME].bdf), -EACCES, "the other user's node");
	expect(open_group(NVME), -EACCES, "the group of the other user's device");
	edu = must_bind(EDU);
	must(ioas_map_at(edu.iommufd, edu.ioas, memory, PAGE, SAME_IOVA), "MAP");
	about("the other user's id");
	check_ids(&edu, ids, memory);
	about("%s", "");
	check_dma(&edu, memory);
	expect(ioas_unmap_range(edu.iommufd, edu.ioas, 0, UINT64_MAX), PAGE,
	       "UNMAP of everything takes one's own");
	must(detach_device(edu.device), "DETACH");
	expect(iommufd_destroy(edu.iommufd, edu.ioas), 0, "DESTROY of one's own");
}

static void check_two_users(void)
{
	int ready[2], done[2], status = 0;
	struct ids ids;
	pid_t victim;

	must(chmod("/dev/iommu", 0666) ? -errno : 0, "let users have contexts");
	must_give_node(EDU, INTRUDER);
	must_give_node(NVME, VICTIM);
	must(pipe(ready) || pipe(done) ? -errno : 0, "pipe()");
	victim = fork();
	if (victim == 0) {
		close(ready[0]);
		close(done[1]);
		be_victim(ready[1], done[0]);
		_exit(0);
	}
	must(victim, "fork()");
	close(ready[1]);
	close(done[0]);
	must(read(ready[0], &ids, sizeof(ids)) == sizeof(ids) ? 0 : -EIO, "read the victim's ids");
	be_intruder(&ids);
	close(done[1]);
	waitpid(victim, &status, 0);
	expect(status, 0, "the victim ends");
}

static const struct conform_case cases[] = {
	{ "two users", check_two_users },
};

const struct conform_part part_contexts = { "contexts", cases, ARRAY_SIZE(cases) };
