/* SPDX-License-Identifier: BSD-3-Clause */
#include "own.h"

#include <errno.h>
#include <time.h>

#include "base/base.h"

int own_open(const char *address, const struct own_options *options, struct own *own,
	     struct weir_error *err)
{
	struct weir_arena_options arena_options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_ioas_options ioas_options = WEIR_IOAS_OPTIONS_INIT;
	struct weir_device_options device_options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_mapping *mapping;
	int rc;

	arena_options.bytes = options->arena_bytes;
	arena_options.iova_delta = options->iova_delta;
	arena_options.name = options->name;
	arena_options.log = ioas_options.log = device_options.log = options->log;
	device_options.transport = options->transport;

	rc = weir_ioas_create(&ioas_options, &own->ioas, err);
	if (rc)
		return rc;
	/* The device first: a wrong address should not cost the time to populate an arena. */
	rc = weir_device_open(address, own->ioas, &device_options, &own->dev, err);
	if (rc)
		goto destroy_ioas;
	rc = weir_arena_create(&arena_options, &own->arena, err);
	if (rc)
		goto close_device;
	rc = weir_ioas_map_arena(own->ioas, own->arena, &mapping, err);
	if (rc)
		goto destroy_arena;
	return 0;

destroy_arena:
	weir_arena_destroy(own->arena);
close_device:
	weir_device_close(own->dev);
destroy_ioas:
	weir_ioas_destroy(own->ioas);
	return rc;
}

void own_close(const struct own *own)
{
	if (!own->ioas)
		return;
	weir_device_close(own->dev);
	weir_ioas_destroy(own->ioas);
	weir_arena_destroy(own->arena);
}

int own_reset(const struct own_reset *how, void *object, unsigned int timeout_ms,
	      struct weir_error *err)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	uint64_t deadline = weir_now_ns() + timeout_ms * UINT64_C(1000000);
	int rc = how->begin(object, err);

	if (rc && rc != -EALREADY)
		return rc;
	for (;;) {
		rc = how->finish(object, err);
		if (rc != -EAGAIN)
			return rc;
		if (weir_now_ns() > deadline)
			return weir_error_prefix(err, -ETIMEDOUT, "no reset within %u ms",
						 timeout_ms);
		nanosleep(&pause, NULL);
	}
}
