/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The victim is reset under load: by its owner, by somebody else, by the kernel after an error of
 * the bus. I/Os that were out come back once; the load goes on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "faults.h"

#define RESET_MS 60000
/* Rounds in which no I/O was out, because the controller had just completed them all, do not count.
 */
#define TRIES (3 * FAULTS_ROUNDS)

static bool seen(const struct rig *rig, enum weir_nvme_event_type type)
{
	return rig->seen & 1u << type;
}

static void reset_controller(struct rig *rig)
{
	struct weir_error err;

	if (weir_nvme_reset(rig->victim, RESET_MS, &err))
		rig_fail(rig, "resetting the controller: %s", err.text);
	rig->seen = 0;
}

/* Rounds of a reset under load, each at another moment. */
static void rounds(struct rig *rig, void (*reset)(struct rig *rig, unsigned int round))
{
	struct load random = { .random = rig->seed };
	struct load *load = &rig->victim_load;
	unsigned int hits = 0, round = 0;

	rig_start_load(rig);
	while (hits < FAULTS_ROUNDS) {
		uint64_t before = load->reset;

		rig_must(rig, ++round <= TRIES, "I/Os were out in %u of %u rounds only", hits,
			 TRIES);
		rig_must(rig, atomic_load(&load->outstanding), "no I/O is out");
		reset(rig, round);
		rig_more_load(rig, 20 + load_random(&random, 200));
		hits += load->reset > before;
	}
	rig_end_load(rig);
	snprintf(rig->figures, sizeof(rig->figures),
		 "%u rounds, %llu I/Os were out at them, %llu were done", round,
		 (unsigned long long)load->reset, (unsigned long long)load->done);
}

static void own_reset(struct rig *rig, unsigned int round)
{
	struct weir_error err;

	(void)round;
	if (weir_device_reset(rig->victim_dev, &err))
		rig_fail(rig, "%s", err.text);
	rig_must(rig, !weir_device_gone(rig->victim_dev), "the device is gone");
	reset_controller(rig);
}

static void own_worker(struct rig *rig)
{
	rounds(rig, own_reset);
}

static void no_machine(struct rig *rig)
{
	(void)rig;
}

static void foreign_reset(struct rig *rig, unsigned int round)
{
	struct weir_error why;

	rig_worker_reach(rig, round);
	rig_wait_until(rig, seen(rig, WEIR_NVME_EVENT_RESET_NEEDED), "news of the reset");
	weir_nvme_failure(rig->victim, &why);
	rig_must(rig, strstr(why.text, "somebody else"), "the reason is '%s'", why.text);
	rig_worker_await(rig, round);
	reset_controller(rig);
}

static void foreign_worker(struct rig *rig)
{
	rounds(rig, foreign_reset);
	rig_worker_reach(rig, TRIES + 1);
}

static void foreign_machine(struct rig *rig)
{
	for (unsigned int round = 1;; round++) {
		int ret;

		rig_machine_await(rig, round);
		if (atomic_load(&rig->worker_at) > TRIES)
			return;
		ret = machine_reset(machine_victim.address);
		rig_must(rig, !ret, "resetting by sysfs: %s", strerror(-ret));
		rig_machine_reach(rig, round);
	}
}

static void error_machine(struct rig *rig, bool fatal)
{
	int ret;

	rig_machine_await(rig, 1);
	ret = machine_bus_error(&machine_victim, fatal);
	rig_must(rig, !ret, "injecting an error: %s", strerror(-ret));
}

static void error_worker(struct rig *rig)
{
	struct weir_error why;
	unsigned int out;

	rig_start_load(rig);
	rig_worker_reach(rig, 1);
	rig_wait_until(rig, seen(rig, WEIR_NVME_EVENT_RESET_NEEDED), "news of the error");
	out = atomic_load(&rig->victim_load.outstanding);
	weir_nvme_failure(rig->victim, &why);
	rig_must(rig, strstr(why.text, "uncorrectable"), "the reason is '%s'", why.text);
	rig_must(rig, out, "no I/O was out");
	reset_controller(rig);
	rig_more_load(rig, 200);
	rig_end_load(rig);
	snprintf(rig->figures, sizeof(rig->figures), "%u I/Os were out", out);
}

static void harmless_machine(struct rig *rig)
{
	error_machine(rig, false);
}

/*
 * The kernel resets the bus and restores nothing. VFIO restores what it knows when the driver
 * enables the device again; where that is not enough, the device is opened anew.
 */
static void fatal_worker(struct rig *rig)
{
	struct load *load = &rig->victim_load;
	bool recovered = false;
	unsigned int out;

	rig_start_load(rig);
	rig_worker_reach(rig, 1);
	rig_wait_until(rig,
		       seen(rig, WEIR_NVME_EVENT_RESET_NEEDED) || seen(rig, WEIR_NVME_EVENT_GONE),
		       "news of the error");
	out = atomic_load(&load->outstanding) + (unsigned int)load->gone;
	rig_must(rig, out, "no I/O was out");
	if (!seen(rig, WEIR_NVME_EVENT_GONE))
		recovered = !weir_nvme_reset(rig->victim, RESET_MS, NULL);
	if (recovered) {
		rig_more_load(rig, 200);
		rig_end_load(rig);
	} else {
		rig_end_dead_load(rig);
		rig_close_victim(rig);
		rig_open_victim(rig);
		rig_resume_load(rig);
	}
	snprintf(rig->figures, sizeof(rig->figures), "%u I/Os were out, then it was %s", out,
		 recovered ? "reset" : "opened anew");
}

static void fatal_machine(struct rig *rig)
{
	error_machine(rig, true);
}

const struct rig_fault faults_reset[] = {
	{ .name = "reset by its owner", .worker = own_worker, .machine = no_machine },
	{ .name = "reset by somebody else", .worker = foreign_worker, .machine = foreign_machine },
	{ .name = "error of the bus", .worker = error_worker, .machine = harmless_machine },
	{ .name = "fatal error of the bus", .worker = fatal_worker, .machine = fatal_machine },
	{ 0 },
};
