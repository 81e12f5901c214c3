/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir_nvme_open(): arena, IOAS, device and controller in one call, for programs that want nothing
 * but a drive.
 */
#include "nvme.h"

WEIR_EXPORT int weir_nvme_open(const char *address, const struct weir_nvme_options *from,
			       struct weir_nvme **nvme, struct weir_error *err)
{
	struct weir_arena_options arena_options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_ioas_options ioas_options = WEIR_IOAS_OPTIONS_INIT;
	struct weir_device_options device_options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_nvme_options options;
	struct weir_arena *arena;
	struct weir_ioas *ioas;
	struct weir_device *dev;
	struct weir_mapping *mapping;
	int rc;

	rc = nvme_options_check(&options, from, err);
	if (rc)
		return rc;
	arena_options.bytes = options.arena_bytes;
	arena_options.iova_delta = options.iova_delta;
	arena_options.name = "weir-nvme";
	arena_options.log = ioas_options.log = device_options.log = options.log;
	device_options.transport = options.transport;

	rc = weir_ioas_create(&ioas_options, &ioas, err);
	if (rc)
		return rc;
	/* The device first: a wrong address should not cost the time to populate an arena. */
	rc = weir_device_open(address, ioas, &device_options, &dev, err);
	if (rc)
		goto destroy_ioas;
	rc = weir_arena_create(&arena_options, &arena, err);
	if (rc)
		goto close_device;
	rc = weir_ioas_map_arena(ioas, arena, &mapping, err);
	if (rc)
		goto destroy_arena;
	rc = weir_nvme_create(dev, arena, &options, nvme, err);
	if (rc)
		goto unmap;
	(*nvme)->own_ioas = ioas;
	(*nvme)->owns_device = true;
	return 0;

unmap:
	weir_ioas_unmap(ioas, mapping, NULL);
destroy_arena:
	weir_arena_destroy(arena);
close_device:
	weir_device_close(dev);
destroy_ioas:
	weir_ioas_destroy(ioas);
	return rc;
}
