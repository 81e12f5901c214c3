/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Live update from a state with wrong bits in it: whatever they are, adopting says -errno or gives
 * a working object. Each round is a process of its own, which must end well; the process that saved
 * the state goes on unharmed.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/state.h"
#include "drive.h"
#include "load.h"
#include "nvme.h"

#define ROUNDS 300
#define WATCHDOG_S 30

enum outcome {
	REFUSED = 0, /* exit statuses of a round */
	ADOPTED = 1,
	WRONG = 2,
};

struct fixture {
	struct drive drive;
	struct load load;
	struct weir_state *state;
	const uint8_t *raw;
	size_t bytes;
	const int *fds;
	unsigned int nr_fds;
};

static struct fixture *begin(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct load_options options = { .depth = 16, .regions = 64, .seed = 5 };
	struct drive *drive = &f->drive;

	drive_resources_before(drive);
	drive->options.interrupts = 1;
	drive_up(drive, "--size 16M --queues 4");
	assert_int_equal(load_begin(&f->load, drive->nvme, drive->ns, &options, &drive->err), 0);
	assert_true(load_run(&f->load, 100) && load_drain(&f->load, 10000));
	assert_int_equal(weir_state_create(&f->state, NULL), 0);
	assert_int_equal(weir_arena_save(drive->arena, f->state, &drive->err), 0);
	assert_int_equal(weir_ioas_save(drive->ioas, f->state, &drive->err), 0);
	assert_int_equal(weir_device_save(drive->dev, f->state, &drive->err), 0);
	assert_int_equal(weir_nvme_save(drive->nvme, f->state, &drive->err), 0);
	f->raw = weir_state_raw(f->state, &f->bytes, &f->fds, &f->nr_fds);
	return f;
}

static void end(struct fixture *f)
{
	weir_state_destroy(f->state);
	load_end(&f->load, true);
	drive_close(&f->drive);
	drive_stop(&f->drive);
	drive_resources_after(&f->drive);
	free(f);
}

/* A copy of the state with other bytes and descriptors of its own. */
static struct weir_state *copy_state(const struct fixture *f, const uint8_t *bytes, size_t nr_bytes)
{
	int fds[WEIR_STATE_MAX_FDS];
	struct weir_state *copy;

	for (unsigned int i = 0; i < f->nr_fds; i++)
		fds[i] = fcntl(f->fds[i], F_DUPFD_CLOEXEC, 0);
	if (!weir_state_from_raw(bytes, nr_bytes, fds, f->nr_fds, &copy, NULL))
		return copy;
	for (unsigned int i = 0; i < f->nr_fds; i++)
		close(fds[i]);
	return NULL;
}

/* What a program may ask of a controller; every string ends, every number is possible. */
static bool sound(struct weir_nvme *nvme)
{
	struct weir_nvme_info info;
	struct weir_nvme_ns_info ns_info = { 0 };
	struct weir_nvme_ns *ns;

	weir_nvme_info(nvme, &info);
	if (strnlen(info.serial, sizeof(info.serial)) == sizeof(info.serial) ||
	    strnlen(info.model, sizeof(info.model)) == sizeof(info.model) ||
	    strnlen(info.firmware, sizeof(info.firmware)) == sizeof(info.firmware) ||
	    strnlen(info.subnqn, sizeof(info.subnqn)) == sizeof(info.subnqn) ||
	    info.max_transfer > WEIR_NVME_MAX_TRANSFER)
		return false;
	while ((ns = weir_nvme_next_ns(nvme, ns_info.nsid))) {
		weir_nvme_ns_info(ns, &ns_info);
		if (ns_info.block_bytes < 512 || ns_info.block_bytes > 65536 || !ns_info.blocks)
			return false;
	}
	for (unsigned int id = 0; id <= 5; id++) {
		struct weir_nvme_qp *qp = weir_nvme_qp_by_id(nvme, id);

		if (qp && weir_nvme_qp_inflight(qp) > weir_nvme_qp_depth(qp))
			return false;
	}
	return true;
}

/* Each cookie of a queue pair comes back once, if any is left. */
static bool polls(struct weir_nvme *nvme)
{
	struct weir_nvme_qp *qp = weir_nvme_qp_by_id(nvme, 1);
	struct weir_nvme_done done[16];

	for (unsigned int i = 0; qp && i < 40; i++) {
		unsigned int inflight = weir_nvme_qp_inflight(qp);
		int n = weir_nvme_poll(qp, done, 16);

		if (n > 16 || (n > 0 && weir_nvme_qp_inflight(qp) + (unsigned int)n != inflight))
			return false;
		weir_nvme_sweep(qp, (i + 1) * UINT64_C(1000000000));
	}
	return true;
}

/* In a process of its own: what the parent has is let go first, it is at the same addresses. */
static enum outcome adopt(struct fixture *f, const uint8_t *bytes, size_t nr_bytes, bool poll)
{
	struct drive *drive = &f->drive, next = { 0 };
	struct weir_state *state;
	enum outcome outcome = REFUSED;

	weir_nvme_abandon(drive->nvme);
	weir_device_abandon(drive->dev);
	weir_ioas_abandon(drive->ioas);
	weir_arena_destroy(drive->arena);
	resources_look(&f->drive.before);
	state = copy_state(f, bytes, nr_bytes);
	if (!state)
		return REFUSED;
	if (!weir_arena_adopt(state, NULL, &next.arena, &next.err) &&
	    !weir_ioas_adopt(state, &next.arena, 1, NULL, &next.ioas, &next.err) &&
	    !weir_device_adopt(state, next.ioas, NULL, &next.dev, &next.err) &&
	    !weir_nvme_adopt(state, next.dev, next.arena, NULL, &next.nvme, &next.err))
		outcome = sound(next.nvme) && (!poll || polls(next.nvme)) ? ADOPTED : WRONG;
	if (outcome == REFUSED && (next.err.code >= 0 || !next.err.text[0]))
		outcome = WRONG;
	weir_nvme_abandon(next.nvme);
	weir_device_abandon(next.dev);
	weir_ioas_abandon(next.ioas);
	weir_arena_destroy(next.arena);
	weir_state_destroy(state);
	resources_look(&next.before);
	next.before.private_kib = f->drive.before.private_kib;
	return resources_same(&f->drive.before, &next.before) ? outcome : WRONG;
}

static enum outcome round_in_child(struct fixture *f, const uint8_t *bytes, size_t nr_bytes,
				   bool poll)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(WATCHDOG_S);
		_exit((int)adopt(f, bytes, nr_bytes, poll));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		fail_msg("the process ended with status %x", (unsigned int)status);
	return (enum outcome)WEXITSTATUS(status);
}

/* Some wrong bits, and sometimes a stretch of wrong bytes. */
static void flip(struct load *random, uint8_t *bytes, size_t nr_bytes)
{
	uint32_t at = load_random(random, (uint32_t)nr_bytes);
	uint32_t smear = load_random(random, 4) ? 0 : load_random(random, 600);

	for (; smear && at < nr_bytes; smear--)
		bytes[at++] = (uint8_t)load_random(random, 256);
	for (uint32_t n = 1 + load_random(random, 3); n; n--)
		bytes[load_random(random, (uint32_t)nr_bytes)] ^=
			(uint8_t)(1u << load_random(random, 8));
}

static void test_undamaged(void **state)
{
	struct fixture *f = begin();

	(void)state;
	assert_int_equal(round_in_child(f, f->raw, f->bytes, true), ADOPTED);
	if (!load_run(&f->load, f->load.done + 100) || !load_verify(&f->load))
		fail_msg("%s", f->load.error);
	end(f);
}

static void test_records(void **state)
{
	struct fixture *f = begin();
	struct load random = { .random = 11 };
	unsigned int outcomes[3] = { 0 };
	uint8_t *bytes = malloc(f->bytes);

	(void)state;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		size_t length = f->bytes;
		enum outcome outcome;

		memcpy(bytes, f->raw, f->bytes);
		if (i % 10)
			flip(&random, bytes, length);
		else
			length = load_random(&random, (uint32_t)length);
		outcome = round_in_child(f, bytes, length, false);
		if (outcome > ADOPTED)
			fail_msg("round %u: outcome %d", i, outcome);
		outcomes[outcome]++;
	}
	assert_true(outcomes[REFUSED] > 0 && outcomes[ADOPTED] > 0);
	/* None of them did anything to the drive. */
	if (!load_run(&f->load, f->load.done + 100) || !load_verify(&f->load))
		fail_msg("%s", f->load.error);
	free(bytes);
	end(f);
}

/* The queue pair's own state, in the arena. What a successor does with it is seen by the drive. */
static void test_queue_state(void **state)
{
	struct fixture *f = begin();
	struct load random = { .random = 12 };
	unsigned int outcomes[3] = { 0 };
	uint8_t *memory = (uint8_t *)f->load.qp->state;
	size_t length = nvme_qp_state_bytes(f->load.qp->depth);
	uint8_t *kept = malloc(length);

	(void)state;
	memcpy(kept, memory, length);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		enum outcome outcome;

		flip(&random, memory, length);
		outcome = round_in_child(f, f->raw, f->bytes, true);
		memcpy(memory, kept, length);
		if (outcome > ADOPTED)
			fail_msg("round %u: outcome %d", i, outcome);
		outcomes[outcome]++;
	}
	assert_true(outcomes[REFUSED] > 0 && outcomes[ADOPTED] > 0);
	free(kept);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undamaged),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_queue_state),
	};

	drive_warm_up();
	return cmocka_run_group_tests_name("nvme_damaged", tests, NULL, NULL);
}
