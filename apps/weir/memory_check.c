/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory_check.h"
#include "cli.h"
#include "fail.h"
#include "tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#define MAX_ARENA (UINT64_C(64) << 30)

/* False: the system does not say. */
static bool available_bytes(uint64_t *available)
{
	uint64_t pages = 0, page_bytes = 0;
	char *text = tree_file("", "/proc/meminfo");
	bool known = text && tree_meminfo(text, "MemAvailable", available);

	if (known && tree_meminfo(text, "HugePages_Free", &pages) &&
	    tree_meminfo(text, "Hugepagesize", &page_bytes))
		*available += (pages >> 10) * page_bytes;
	free(text);
	return known;
}

int memory_check(const char *what, uint64_t needed, struct weir_error *err)
{
	uint64_t available;

	if (needed > MAX_ARENA)
		return fail(err, CLI_USAGE,
			    "%s need %" PRIu64 " MiB of buffers, over the limit of %" PRIu64 " MiB",
			    what, needed >> 20, MAX_ARENA >> 20);
	if (available_bytes(&available) && needed > available)
		return fail(err, -ENOMEM,
			    "%s need %" PRIu64 " MiB of buffers, and %" PRIu64 " MiB are available",
			    what, needed >> 20, available >> 20);
	return 0;
}
