/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What can be mapped for devices: chunks of the address space, each of which has anonymous memory,
 * a file's, huge pages or a BAR in it, and loses it at any time. A chunk that is unmapped gets
 * memory that cannot be touched in the same moment, so that nothing else is ever where a device, or
 * another thread, believes its memory to be.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "fuzz.h"

#define FILE_SIZE (64 * PAGE)
#define HUGE_PAGE (2ull << 20)

/* The linker's. */
extern const char __executable_start;

static _Thread_local struct fuzz_thread *this_thread;

void fuzz_set_thread(struct fuzz_thread *thread)
{
	this_thread = thread;
}

static void escape(int number, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;

	if (this_thread && this_thread->touching) {
		this_thread->touching = false;
		siglongjmp(this_thread->escape, 1);
	}
	/* A mistake of this program, or of the kernel, which has written where it should not. */
	dprintf(STDOUT_FILENO, "# process %d: signal %d for %p, at %#lx of the program\n", getpid(),
		number, info->si_addr,
		(unsigned long)at->uc_mcontext.gregs[REG_RIP] - (uintptr_t)&__executable_start);
	signal(number, SIG_DFL);
}

void fuzz_catch_signals(void)
{
	const struct sigaction action = { .sa_sigaction = escape,
					  .sa_flags = SA_NODEFER | SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

static unsigned char *chunk_address(const struct fuzz_process *process, unsigned int chunk)
{
	return process->memory + chunk * CHUNK_SIZE;
}

/* One with something in it, if there is one among a few. */
static unsigned int pick_chunk(struct fuzz_thread *thread)
{
	unsigned int chunk = 0;

	for (unsigned int tries = 0; tries < 4; tries++) {
		chunk = (unsigned int)fuzz_below(thread, CHUNKS);
		if (atomic_load(&thread->process->chunks[chunk]) != CHUNK_NOTHING)
			break;
	}
	return chunk;
}

uint64_t fuzz_pick_memory(struct fuzz_thread *thread, uint64_t *length)
{
	unsigned int chunk = pick_chunk(thread);
	uint64_t pages = atomic_load(&thread->process->sizes[chunk]) / PAGE;
	uint64_t first = fuzz_once_in(thread, 2) || !pages ? 0 : fuzz_below(thread, pages);

	*length = pages > first ? (1 + fuzz_below(thread, pages - first)) * PAGE : PAGE;
	if (fuzz_once_in(thread, 8))
		*length = fuzz_length(thread);
	return (uintptr_t)chunk_address(thread->process, chunk) + first * PAGE;
}

static void note(struct fuzz_thread *thread, unsigned int chunk, enum fuzz_chunk what,
		 uint64_t size)
{
	atomic_store(&thread->process->chunks[chunk], what);
	atomic_store(&thread->process->sizes[chunk], (unsigned int)size);
}

static void empty_chunk(struct fuzz_thread *thread, unsigned int chunk)
{
	void *at = chunk_address(thread->process, chunk);

	note(thread, chunk, CHUNK_NOTHING, 0);
	fuzz_begin(thread, MUNMAP);
	fuzz_end(thread,
		 mmap(at, CHUNK_SIZE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED
			 ? -errno
			 : 0);
}

static void fill_chunk(struct fuzz_thread *thread, enum fuzz_counter counter, unsigned int chunk,
		       enum fuzz_chunk what, uint64_t size, int protection, int flags, int fd,
		       uint64_t offset)
{
	void *at = chunk_address(thread->process, chunk);
	long result;

	if (atomic_load(&thread->process->chunks[chunk]) != CHUNK_NOTHING)
		empty_chunk(thread, chunk);
	fuzz_begin(thread, counter);
	result = mmap(at, size, protection, flags | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED
			 ? -errno
			 : 0;
	if (fuzz_end(thread, result) == 0)
		note(thread, chunk, what, size);
}

static int new_memfd(struct fuzz_thread *thread)
{
	bool huge = fuzz_once_in(thread, 6);
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0u));

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)(huge ? HUGE_PAGE : FILE_SIZE))) {
		close(fd);
		return -1;
	}
	fuzz_keep(thread, MEMFDS, fd, huge);
	return fd;
}

/* If there is one among a few. */
static unsigned int pick_empty(struct fuzz_thread *thread)
{
	unsigned int chunk = 0;

	for (unsigned int tries = 0; tries < 4; tries++) {
		chunk = (unsigned int)fuzz_below(thread, CHUNKS);
		if (atomic_load(&thread->process->chunks[chunk]) == CHUNK_NOTHING)
			break;
	}
	return chunk;
}

static void map_memory(struct fuzz_thread *thread)
{
	unsigned int chunk = fuzz_once_in(thread, 2) ? pick_empty(thread)
						     : (unsigned int)fuzz_below(thread, CHUNKS);
	uint64_t size = (1 + fuzz_below(thread, 64)) * PAGE;
	int access = fuzz_once_in(thread, 8) ? PROT_READ : PROT_READ | PROT_WRITE;
	int flags = MAP_ANONYMOUS;
	unsigned int huge = 0;
	int fd = -1;

	switch (fuzz_below(thread, 6)) {
	case 0:
	case 1:
		flags |= MAP_PRIVATE;
		break;
	case 2:
		flags |= MAP_SHARED;
		break;
	case 3:
		flags |= MAP_PRIVATE | MAP_HUGETLB;
		size = HUGE_PAGE;
		break;
	default:
		fd = fuzz_pick(thread, MEMFDS, &huge, NULL);
		if (fd < 0 || fuzz_once_in(thread, 4))
			fd = new_memfd(thread);
		flags = fuzz_once_in(thread, 3) ? MAP_PRIVATE : MAP_SHARED;
		size = huge ? HUGE_PAGE : size;
	}
	flags |= fuzz_once_in(thread, 2) ? MAP_POPULATE : 0;
	fill_chunk(thread, MMAP_MEMORY, chunk, CHUNK_MEMORY, size, access, flags, fd, 0);
}

/* What is in no chunk is this program's own. */
static void *pick_part(struct fuzz_thread *thread, uint64_t *length)
{
	uint64_t at = fuzz_pick_memory(thread, length);
	uint64_t room = CHUNK_SIZE - at % CHUNK_SIZE;

	if (*length > room)
		*length = room;
	return (void *)(uintptr_t)at;
}

static void protect(struct fuzz_thread *thread)
{
	static const int protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	uint64_t length;
	void *at = pick_part(thread, &length);

	fuzz_begin(thread, MPROTECT);
	fuzz_end(thread, fuzz_errno(mprotect(at, length, protections[fuzz_below(thread, 3)])));
}

static void advise(struct fuzz_thread *thread)
{
	static const int advices[] = { MADV_DONTNEED, MADV_FREE,     MADV_REMOVE,   MADV_DONTFORK,
				       MADV_DOFORK,   MADV_HUGEPAGE, MADV_MERGEABLE };
	uint64_t length;
	void *at = pick_part(thread, &length);

	fuzz_begin(thread, MADVISE);
	fuzz_end(thread,
		 fuzz_errno(madvise(at, length, advices[fuzz_below(thread, ARRAY_SIZE(advices))])));
}

/* What was there stays mapped, to nothing. */
static void move(struct fuzz_thread *thread)
{
	unsigned int from = pick_chunk(thread);
	unsigned int to = (unsigned int)fuzz_below(thread, CHUNKS);
	uint64_t size = atomic_load(&thread->process->sizes[from]);
	enum fuzz_chunk what = atomic_load(&thread->process->chunks[from]);
	void *moved;

	if (from == to || !size)
		return;
	empty_chunk(thread, to);
	fuzz_begin(thread, MREMAP);
	moved = mremap(chunk_address(thread->process, from), size, size,
		       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		       chunk_address(thread->process, to));
	if (fuzz_end(thread, moved == MAP_FAILED ? -errno : 0) == 0)
		note(thread, to, what, size);
}

static void change_file(struct fuzz_thread *thread)
{
	unsigned int huge;
	int fd = fuzz_pick(thread, MEMFDS, &huge, NULL);
	uint64_t size = huge ? HUGE_PAGE : FILE_SIZE;
	uint64_t at = huge ? 0 : fuzz_below(thread, size / PAGE) * PAGE;

	if (fd < 0) {
		new_memfd(thread);
		return;
	}
	switch (fuzz_below(thread, 16)) {
	case 0:
	case 1:
		fuzz_begin(thread, SEAL);
		fuzz_end(thread, fuzz_errno(fcntl(fd, F_ADD_SEALS, 1 << fuzz_below(thread, 5))));
		break;
	case 2:
	case 3:
	case 4:
		fuzz_begin(thread, TRUNCATE);
		fuzz_end(thread, fuzz_errno(ftruncate(fd, (off_t)at)));
		break;
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
	case 10:
		fuzz_begin(thread, TRUNCATE);
		fuzz_end(thread, fuzz_errno(ftruncate(fd, (off_t)size)));
		break;
	default:
		fuzz_begin(thread, PUNCH);
		fuzz_end(thread,
			 fuzz_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					      (off_t)at, (off_t)(huge ? size : 8 * PAGE))));
	}
}

void fuzz_fill_memory(struct fuzz_thread *thread)
{
	for (unsigned int i = 0; i < CHUNKS / 2; i++)
		map_memory(thread);
}

void fuzz_memory(struct fuzz_thread *thread)
{
	switch (fuzz_below(thread, 12)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		map_memory(thread);
		break;
	case 5:
		empty_chunk(thread, pick_chunk(thread));
		break;
	case 6:
		protect(thread);
		break;
	case 7:
		advise(thread);
		break;
	case 8:
		move(thread);
		break;
	default:
		change_file(thread);
	}
}

bool fuzz_find_region(struct fuzz_thread *thread, int fd, struct vfio_region_info *info)
{
	unsigned int first = (unsigned int)fuzz_below(thread, VFIO_PCI_NUM_REGIONS);

	for (unsigned int i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		info->argsz = sizeof(*info);
		info->index = (first + i) % VFIO_PCI_NUM_REGIONS;
		info->size = 0;
		if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info))
			return false;
		if (info->index != VFIO_PCI_CONFIG_REGION_INDEX && info->size)
			return true;
	}
	return false;
}

/* Only plain memory can be written, what else there is would begin to work. */
void fuzz_map_region(struct fuzz_thread *thread)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };
	unsigned int of;
	int fd = fuzz_pick(thread, DEVICES, &of, NULL);
	uint64_t offset = 0, size;
	bool writable;

	if (fd < 0 || !fuzz_find_region(thread, fd, &info))
		return;
	writable = the_options.devices[of].model == MODEL_MEMORY && info.index == 2;
	size = info.size < CHUNK_SIZE ? info.size : CHUNK_SIZE;
	if (size > PAGE && fuzz_once_in(thread, 2)) {
		offset = fuzz_below(thread, size / PAGE) * PAGE;
		size -= offset;
	}
	if (fuzz_once_in(thread, 16))
		size = fuzz_length(thread) % CHUNK_SIZE;
	if (fuzz_once_in(thread, 16))
		info.offset = fuzz_interesting(thread);
	fill_chunk(thread, MMAP_REGION, (unsigned int)fuzz_below(thread, CHUNKS),
		   writable ? CHUNK_WRITABLE_REGION : CHUNK_REGION, size ? size : PAGE,
		   writable ? PROT_READ | PROT_WRITE : PROT_READ,
		   fuzz_once_in(thread, 16) ? MAP_PRIVATE : MAP_SHARED, fd, info.offset + offset);
}

void fuzz_unmap_regions(struct fuzz_thread *thread)
{
	for (unsigned int chunk = 0; chunk < CHUNKS; chunk++) {
		if (atomic_load(&thread->process->chunks[chunk]) >= CHUNK_REGION)
			empty_chunk(thread, chunk);
	}
}

void fuzz_touch(struct fuzz_thread *thread)
{
	unsigned int chunk = pick_chunk(thread);
	enum fuzz_chunk what = atomic_load(&thread->process->chunks[chunk]);
	uint64_t size = atomic_load(&thread->process->sizes[chunk]);
	volatile uint32_t *at = (void *)(chunk_address(thread->process, chunk) +
					 (size ? fuzz_below(thread, size) & ~3ull : 0));
	volatile long result = -EFAULT;

	fuzz_begin(thread, what >= CHUNK_REGION ? TOUCH_REGION : TOUCH_MEMORY);
	if (sigsetjmp(thread->escape, 0) == 0) {
		thread->touching = true;
		if (what != CHUNK_REGION && fuzz_once_in(thread, 2))
			*at = (uint32_t)fuzz_random(thread);
		else
			(void)*at;
		result = 0;
	}
	thread->touching = false;
	fuzz_end(thread, result);
}
