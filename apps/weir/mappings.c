/* SPDX-License-Identifier: BSD-3-Clause */
#include "mappings.h"
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int mappings_print(const char *address, struct weir_ioas *ioas, struct weir_error *err)
{
	unsigned int nr = weir_ioas_list(ioas, NULL, 0), room = nr;
	struct weir_mapping_info *info = calloc(nr ? nr : 1, sizeof(*info));

	if (!info)
		return fail(err, -ENOMEM, "no memory for %u mappings", nr);
	nr = weir_ioas_list(ioas, info, room);
	for (unsigned int i = 0; i < nr && i < room; i++)
		printf("%s: 0x%" PRIx64 "-0x%" PRIx64 " %s%s %s memory%s\n", address, info[i].iova,
		       info[i].iova + info[i].bytes - 1, info[i].prot & WEIR_PROT_READ ? "r" : "",
		       info[i].prot & WEIR_PROT_WRITE ? "w" : "",
		       strcmp(info[i].kind, "dmabuf") ? "host" : "device",
		       info[i].state == WEIR_MAPPING_LIVE ? "" : ", taken back");
	free(info);
	return 0;
}
