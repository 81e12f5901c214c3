/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MADV_POPULATE_WRITE answers a lack of pages with an error, where a first touch would raise
 * SIGBUS. A shared file keeps the memory policy that mbind() gave it, so it is bound before, and
 * stays bound for everybody who maps it.
 *
 * The kinds of pages are tried from the best to the worst; only a lack of memory, or of room for
 * it, leads on to the next.
 */
#include "memory/populate.h"

#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "memory/budget.h"
#include "memory/memfd.h"
#include "memory/window.h"

#define MIN_ALIGN (UINT64_C(1) << 21)
#define MAX_ALIGN (UINT64_C(1) << 30)

/* A kind of pages, best first. */
struct backing {
	enum weir_page_size page_size;
	bool bound; /* to the node */
};

static const struct backing backings[] = {
	{ WEIR_PAGE_1G, true },
	{ WEIR_PAGE_2M, true },
	{ WEIR_PAGE_4K, true },
	{ WEIR_PAGE_4K, false },
};

static bool many_nodes(void)
{
	return numa_available() >= 0 && numa_max_node() > 0;
}

int populate_node(int wanted, int *node, struct weir_error *err)
{
	int last = numa_available() < 0 ? 0 : numa_max_node();

	if (wanted < WEIR_NODE_ANY || wanted > last ||
	    (wanted >= 0 && last > 0 &&
	     !numa_bitmask_isbitset(numa_nodes_ptr, (unsigned int)wanted)))
		return weir_error_set(err, -EINVAL, "NUMA node %d does not exist, the last is %d",
				      wanted, last);
	if (numa_available() < 0)
		*node = WEIR_NODE_ANY;
	else
		*node = wanted >= 0 ? wanted : numa_node_of_cpu(sched_getcpu());
	return 0;
}

/*
 * Binds memory to a node. -EPERM or -ENOSYS: the system does not let us, as in many containers;
 * -EINVAL: the node has no memory for this process.
 */
static int bind_node(void *base, uint64_t bytes, int node, int mode)
{
	struct bitmask *mask = numa_allocate_nodemask();
	long rc;

	if (!mask)
		return -ENOMEM;
	numa_bitmask_setbit(mask, (unsigned int)node);
	rc = mbind(base, bytes, mode, mask->maskp, mask->size + 1, 0);
	if (rc)
		rc = -errno;
	numa_bitmask_free(mask);
	return (int)rc;
}

/* Makes every page of a mapping present. */
static int populate_pages(const char *name, void *base, uint64_t bytes, struct weir_error *err)
{
	if (!madvise(base, bytes, MADV_POPULATE_WRITE))
		return 0;
	if (errno == EINVAL)
		return weir_error_set(
			err, -EOPNOTSUPP,
			"arena %s: the kernel has no MADV_POPULATE_WRITE (Linux 5.14)", name);
	/* EFAULT stands for the SIGBUS that a touch would have raised. */
	return weir_error_set(err, -ENOMEM, "arena %s: not enough memory for %" PRIu64 " KiB (%s)",
			      name, bytes >> 10, strerror(errno));
}

void populate_undo(const struct populated *got)
{
	munmap(got->base, got->bytes);
	close(got->fd);
}

/* Binds what was mapped. Where that is not allowed the memory is taken unbound. */
static int bind_mapped(const char *name, int node, int mode, const struct weir_log *log,
		       struct populated *got, struct weir_error *err)
{
	int rc = bind_node(got->base, got->bytes, node, mode);

	if (rc == -EPERM || rc == -ENOSYS) {
		got->node = WEIR_NODE_ANY;
		if (many_nodes())
			weir_log_write(log, WEIR_LOG_WARN,
				       "arena %s: not bound to node %d: mbind: %s; in a container "
				       "run it with --cap-add SYS_NICE",
				       name, node, strerror(-rc));
		return 0;
	}
	if (rc)
		return weir_error_set(err, -ENOMEM,
				      "arena %s: node %d has no memory for this process: mbind: %s",
				      name, node, strerror(-rc));
	got->node = node;
	return 0;
}

/* Binds, if a node is given, and populates; on failure nothing is left. */
static int finish(const char *name, int node, int mode, const struct weir_log *log,
		  struct populated *got, struct weir_error *err)
{
	int rc = 0;

	got->node = WEIR_NODE_ANY;
	if (node != WEIR_NODE_ANY)
		rc = bind_mapped(name, node, mode, log, got, err);
	if (!rc)
		rc = populate_pages(name, got->base, got->bytes, err);
	if (rc)
		populate_undo(got);
	return rc;
}

/*
 * Natural alignment of blocks, which is relative to the base, holds for addresses too, up to 1 GiB.
 * It depends on what was asked for alone, not on the pages that are free today, so that addresses
 * do not either: 1 GiB pages come by themselves only to multiples of 1 GiB.
 */
static uint64_t window_align(uint64_t bytes, uint64_t page_bytes)
{
	uint64_t align = weir_round_up_power_of_two(bytes);

	if (align > MAX_ALIGN)
		align = MAX_ALIGN;
	if (align < MIN_ALIGN)
		align = MIN_ALIGN;
	return align < page_bytes ? page_bytes : align;
}

static int map_window(const struct populate_request *request, struct populated *got,
		      struct weir_error *err)
{
	uint64_t align = window_align(request->bytes, got->page_bytes);
	int rc = window_map(got->fd, got->bytes, align, request->delta, &got->base);

	if (rc == -ENOSPC)
		return weir_error_set(err, rc,
				      "arena %s: no room for %" PRIu64
				      " MiB in the window of IOVAs "
				      "0x%" PRIx64 " to 0x%" PRIx64,
				      request->name, got->bytes >> 20, WEIR_ARENA_WINDOW_BASE,
				      WEIR_ARENA_WINDOW_END);
	if (rc)
		return weir_error_set(err, rc, "arena %s: mmap of %" PRIu64 " KiB: %s%s",
				      request->name, got->bytes >> 10, strerror(-rc),
				      got->page_bytes > 4096 ? " (free huge pages)"
							     : " (RLIMIT_AS?)");
	return 0;
}

static int try_backing(const struct populate_request *request, const struct backing *backing,
		       struct populated *got, struct weir_error *err)
{
	int node = backing->bound ? request->node : WEIR_NODE_ANY;
	int rc;

	got->page_bytes = UINT64_C(1) << backing->page_size;
	got->bytes = weir_align_up(request->bytes, got->page_bytes);
	if (backing->page_size == WEIR_PAGE_4K) {
		rc = budget_check(request->name, got->bytes, many_nodes() ? node : WEIR_NODE_ANY,
				  err);
		if (rc)
			return rc;
	}
	got->fd = memfd_make(request->name, got->bytes, backing->page_size, err);
	if (got->fd < 0)
		return got->fd;
	rc = map_window(request, got, err);
	if (rc) {
		close(got->fd);
		return rc;
	}
	return finish(request->name, node, MPOL_BIND, request->log, got, err);
}

/* Whether a kind of pages is one that the request allows. */
static bool allowed(const struct populate_request *request, const struct backing *backing)
{
	if (!backing->bound && (request->node == WEIR_NODE_ANY || !many_nodes()))
		return false; /* the same as bound */
	if (request->page_size != WEIR_PAGE_AUTO)
		return backing->page_size == request->page_size;
	if (backing->page_size == WEIR_PAGE_1G)
		return weir_is_aligned(request->bytes, UINT64_C(1) << WEIR_PAGE_1G);
	return backing->page_size == WEIR_PAGE_4K || request->bytes >= UINT64_C(1) << WEIR_PAGE_2M;
}

/* The command that reserves the huge pages that were missing. */
static void huge_page_command(char *text, size_t room, uint64_t bytes, enum weir_page_size size,
			      int node)
{
	const char *unit = size == WEIR_PAGE_1G ? "1GB" : "2MB";
	uint64_t pages = weir_align_up(bytes, UINT64_C(1) << size) >> size;
	int used = 0;

	if (node != WEIR_NODE_ANY && many_nodes())
		used = snprintf(text, room, "numactl --membind %d ", node);
	snprintf(text + used, room - used, "hugeadm %s--pool-pages-min %s:+%" PRIu64,
		 used ? "--obey-mempolicy " : "", unit, pages);
}

/* Says what would have been better than the pages that were got. */
static void notice(const struct populate_request *request, const struct backing *backing)
{
	char command[128];

	if (backing->page_size != WEIR_PAGE_4K)
		return;
	if (!backing->bound)
		weir_log_write(request->log, WEIR_LOG_WARN,
			       "arena %s: node %d has too little memory, another node's is used; "
			       "see what is free with: numactl --hardware",
			       request->name, request->node);
	if (request->page_size != WEIR_PAGE_AUTO || request->bytes < UINT64_C(1) << WEIR_PAGE_2M)
		return;
	huge_page_command(command, sizeof(command), request->bytes, WEIR_PAGE_2M, request->node);
	weir_log_write(
		request->log, WEIR_LOG_WARN,
		"arena %s: too few free huge pages, 4 KiB pages are used; to mend it run: %s",
		request->name, command);
}

/* Adds the command that would have helped to a text that says why huge pages were not to be had. */
static int advise(const struct populate_request *request, int rc, struct weir_error *err)
{
	char command[128];
	char text[WEIR_ERROR_TEXT];

	if (!err)
		return rc;
	memcpy(text, err->text, sizeof(text));
	huge_page_command(command, sizeof(command), request->bytes, request->page_size,
			  request->node);
	return weir_error_set(err, rc, "%s; run: %s", text, command);
}

int populate_window(const struct populate_request *request, struct populated *got,
		    struct weir_error *err)
{
	int rc = -ENOMEM;

	for (unsigned int i = 0; i < ARRAY_SIZE(backings); i++) {
		if (!allowed(request, &backings[i]))
			continue;
		/* valgrind says of huge pages that are not there that their place is taken. */
		if (rc != -ENOMEM && rc != -ENOSPC)
			break;
		rc = try_backing(request, &backings[i], got, err);
		if (!rc)
			notice(request, &backings[i]);
	}
	if (rc == -ENOMEM && request->page_size > WEIR_PAGE_4K)
		return advise(request, rc, err);
	return rc;
}

static int map_anywhere(int fd, uint64_t bytes, void **base)
{
	*base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return *base == MAP_FAILED ? -errno : 0;
}

int populate_anywhere(const char *name, uint64_t bytes, int node, const struct weir_log *log,
		      struct populated *got, struct weir_error *err)
{
	int rc = budget_check(name, bytes, WEIR_NODE_ANY, err);

	if (rc)
		return rc;
	got->bytes = bytes;
	got->page_bytes = UINT64_C(1) << WEIR_PAGE_4K;
	got->fd = memfd_make(name, bytes, WEIR_PAGE_4K, err);
	if (got->fd < 0)
		return got->fd;
	rc = map_anywhere(got->fd, bytes, &got->base);
	if (rc) {
		close(got->fd);
		return weir_error_set(err, rc, "arena %s: mmap of %" PRIu64 " KiB: %s", name,
				      bytes >> 10, strerror(-rc));
	}
	return finish(name, node, MPOL_PREFERRED, log, got, err);
}

int populate_adopted(const char *name, uint64_t address, struct populated *file,
		     struct weir_error *err)
{
	int rc = memfd_check(file->fd, file->bytes, file->page_bytes, err);

	if (rc)
		return weir_error_prefix(err, rc, "arena %s", name);
	rc = address ? window_map_at(file->fd, file->bytes, address, &file->base)
		     : map_anywhere(file->fd, file->bytes, &file->base);
	if (rc)
		return weir_error_set(err, rc,
				      "arena %s: mmap of %" PRIu64 " KiB at 0x%" PRIx64 ": %s",
				      name, file->bytes >> 10, address, strerror(-rc));
	rc = populate_pages(name, file->base, file->bytes, err);
	if (rc)
		munmap(file->base, file->bytes);
	return rc;
}
