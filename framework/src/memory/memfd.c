/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/memfd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <weir/memory.h>

#include "base/base.h"

/* A file that somebody may shrink is a SIGBUS for everybody who has it mapped. */
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* ftruncate() beyond RLIMIT_FSIZE raises SIGXFSZ, whose default is to kill: looked at first. */
static int check_file_limit(const char *name, uint64_t bytes, struct weir_error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) || bytes <= limit.rlim_cur)
		return 0;
	return weir_error_set(err, -EFBIG,
			      "arena %s: %" PRIu64 " bytes is over RLIMIT_FSIZE, %" PRIu64
			      "; raise it with: ulimit -f unlimited",
			      name, bytes, (uint64_t)limit.rlim_cur);
}

int memfd_make(const char *name, uint64_t bytes, unsigned int page_shift, struct weir_error *err)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd, rc;

	rc = check_file_limit(name, bytes, err);
	if (rc)
		return rc;
	/* The size is encoded as it is for mmap(): its shift, above bit 26. */
	if (page_shift != WEIR_PAGE_4K)
		flags |= MFD_HUGETLB | page_shift << MAP_HUGE_SHIFT;
	fd = memfd_create(name, flags);
	if (fd < 0 && page_shift != WEIR_PAGE_4K && errno != EMFILE && errno != ENFILE)
		return weir_error_set(err, -ENOMEM, "arena %s: no %" PRIu64 " KiB pages here: %s",
				      name, UINT64_C(1) << page_shift >> 10, strerror(errno));
	if (fd < 0)
		return weir_error_set(err, -errno, "arena %s: memfd_create: %s", name,
				      strerror(errno));
	if (ftruncate(fd, (off_t)bytes) || fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL)) {
		rc = weir_error_set(err, -errno, "arena %s: a memfd of %" PRIu64 " bytes: %s", name,
				    bytes, strerror(errno));
		close(fd);
		return rc;
	}
	return fd;
}

int memfd_check(int fd, uint64_t bytes, uint64_t page_bytes, struct weir_error *err)
{
	struct stat status;
	struct statfs fs;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS)
		return weir_error_set(err, -EINVAL, "descriptor %d is no sealed memfd", fd);
	if (fstat(fd, &status) || fstatfs(fd, &fs))
		return weir_error_set(err, -EINVAL, "descriptor %d: %s", fd, strerror(errno));
	if ((uint64_t)status.st_size != bytes)
		return weir_error_set(err, -EINVAL, "memfd of %" PRIu64 " bytes, not %" PRIu64,
				      (uint64_t)status.st_size, bytes);
	if ((uint64_t)fs.f_bsize != page_bytes)
		return weir_error_set(err, -EINVAL, "memfd of %" PRIu64 "-byte pages, not %" PRIu64,
				      (uint64_t)fs.f_bsize, page_bytes);
	return 0;
}
