/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window begins at 4 GiB: what lies below belongs to programs that are not position
 * independent, and to the interrupt range of x86 (0xfee00000 to 0xfeefffff), which no IOMMU
 * translates.
 *
 * The kernel's list of mappings is the only record of what is taken. Probing it upwards with
 * MAP_FIXED_NOREPLACE needs no state of our own, is safe against other threads, and gives the same
 * addresses to every process that makes the same arenas in the same order.
 */
#include "memory/window.h"

#include <errno.h>
#include <sys/mman.h>
#include <weir/memory.h>

int window_map_at(int fd, uint64_t bytes, uint64_t address, void **base)
{
	void *wanted = (void *)(uintptr_t)address;
	void *got = mmap(wanted, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
			 fd, 0);

	if (got == MAP_FAILED)
		return -errno;
	/* Tools that stand between a program and the kernel (valgrind) take it as a mere hint. */
	if (got != wanted) {
		munmap(got, bytes);
		return -EEXIST;
	}
	*base = got;
	return 0;
}

int window_map(int fd, uint64_t bytes, uint64_t align, uint64_t delta, void **base)
{
	for (uint64_t iova = WEIR_ARENA_WINDOW_BASE; bytes <= WEIR_ARENA_WINDOW_END - iova;
	     iova += align) {
		int rc = window_map_at(fd, bytes, iova + delta, base);

		if (rc != -EEXIST)
			return rc;
	}
	return -ENOSPC;
}
