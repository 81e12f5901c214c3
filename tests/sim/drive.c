/* SPDX-License-Identifier: BSD-3-Clause */
#include "drive.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "load.h"

#define ARENA_BYTES (8u << 20)

void drive_start(struct drive *drive, const char *arguments)
{
	const char *argv[DRIVE_MAX_ARGS + 1] = { NULL };
	char *copy = strdup(arguments), *rest = copy, *word;
	unsigned int argc = 0;

	while ((word = strtok_r(rest, " ", &rest)) && argc < DRIVE_MAX_ARGS)
		argv[argc++] = word;
	if (sim_process_start(&drive->sim, "nvme", argv))
		fail_msg("no server with %s", arguments);
	free(copy);
}

void drive_stop(struct drive *drive)
{
	assert_int_equal(sim_process_stop(&drive->sim), 0);
}

int drive_open(struct drive *drive)
{
	struct weir_arena_options arena_options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_device_options device_options = WEIR_DEVICE_OPTIONS_INIT;
	int rc;

	drive->options.size = sizeof(drive->options);
	arena_options.bytes = ARENA_BYTES;
	device_options.timeout_ms = drive->device_timeout_ms;
	rc = weir_ioas_create(NULL, &drive->ioas, &drive->err);
	if (rc)
		return rc;
	rc = weir_arena_create(&arena_options, &drive->arena, &drive->err);
	if (rc)
		goto destroy_ioas;
	rc = weir_ioas_map_arena(drive->ioas, drive->arena, &drive->mapping, &drive->err);
	if (rc)
		goto destroy_arena;
	rc = weir_device_open(drive->sim.address, drive->ioas, &device_options, &drive->dev,
			      &drive->err);
	if (rc)
		goto unmap;
	rc = weir_nvme_create(drive->dev, drive->arena, &drive->options, &drive->nvme, &drive->err);
	if (rc)
		goto close_device;
	drive->ns = weir_nvme_next_ns(drive->nvme, 0);
	return 0;

close_device:
	weir_device_close(drive->dev);
unmap:
	weir_ioas_unmap(drive->ioas, drive->mapping, NULL);
destroy_arena:
	weir_arena_destroy(drive->arena);
destroy_ioas:
	weir_ioas_destroy(drive->ioas);
	return rc;
}

void drive_close(struct drive *drive)
{
	weir_nvme_close(drive->nvme);
	weir_device_close(drive->dev);
	weir_ioas_unmap(drive->ioas, drive->mapping, NULL);
	weir_ioas_destroy(drive->ioas);
	weir_arena_destroy(drive->arena);
}

void drive_up(struct drive *drive, const char *arguments)
{
	drive_start(drive, arguments);
	if (drive_open(drive))
		fail_msg("%s: %s", arguments, drive->err.text);
}

void drive_resources_before(struct drive *drive)
{
	resources_look(&drive->before);
}

void drive_resources_after(struct drive *drive)
{
	struct resources *after = malloc(sizeof(*after));
	bool same;

	assert_non_null(after);
	resources_look(after);
	same = resources_same(&drive->before, after);
	free(after);
	assert_true(same);
}

void drive_warm_up(void)
{
	struct load_options options = { .depth = 4, .regions = 8, .seed = 1 };
	struct load *loads[2];
	struct drive *drive = calloc(1, sizeof(*drive));

	drive_up(drive, "--size 16M");
	for (unsigned int i = 0; i < 2; i++) {
		loads[i] = calloc(1, sizeof(*loads[i]));
		options.lba = 1000 * i;
		assert_int_equal(
			load_begin(loads[i], drive->nvme, drive->ns, &options, &drive->err), 0);
		assert_int_equal(load_thread_start(loads[i]), 0);
	}
	drive_sleep_ms(10);
	for (unsigned int i = 0; i < 2; i++) {
		load_stop(loads[i]);
		load_end(loads[i], true);
		free(loads[i]);
	}
	drive_close(drive);
	drive_stop(drive);
	free(drive);
}

uint64_t drive_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void drive_sleep_ms(unsigned int ms)
{
	struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&pause, NULL);
}
