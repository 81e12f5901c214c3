/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir_nvme_open(): arena, IOAS, device and controller in one call, for programs that want nothing
 * but a drive.
 */
#include "nvme.h"

WEIR_EXPORT int weir_nvme_open(const char *address, const struct weir_nvme_options *from,
			       struct weir_nvme **nvme, struct weir_error *err)
{
	struct weir_nvme_options options;
	struct own_options own_options;
	struct own own;
	int rc;

	rc = nvme_options_check(&options, from, err);
	if (rc)
		return rc;
	own_options = (struct own_options){
		.name = "weir-nvme",
		.transport = options.transport,
		.arena_bytes = options.arena_bytes,
		.iova_delta = options.iova_delta,
		.log = options.log,
	};
	rc = own_open(address, &own_options, &own, err);
	if (rc)
		return rc;
	rc = weir_nvme_create(own.dev, own.arena, &options, nvme, err);
	if (rc)
		own_close(&own);
	else
		(*nvme)->own = own;
	return rc;
}
