/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Live update: a process hands a drive with I/Os in flight to its successor, which finishes them,
 * and may hand it on. The drive is not told.
 *
 * The successor is this program again, started as `test_nvme_handoff --successor SOCKET`. What the
 * loads expect of the drive goes before the state over the same socket.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <weir/handoff.h>

#include "drive.h"
#include "load.h"

#define LOADS 2
#define HAND_MS 20000
#define WATCHDOG_S 100

/* What one process tells the next about the test. */
struct luggage {
	struct load loads[LOADS];
	struct weir_nvme_options options;
	unsigned int generations; /* still to come */
};

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "process %d: %s: %s\n", (int)getpid(), what, why);
	return -1;
}

/* The whole of the bytes, either way. */
static bool move(int socket, void *data, size_t bytes, bool out)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = out ? send(socket, (char *)data + done, bytes - done, MSG_NOSIGNAL)
				: recv(socket, (char *)data + done, bytes - done, MSG_WAITALL);

		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static pid_t start_successor(int sockets[2])
{
	char number[16];
	pid_t pid, parent = getpid();

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(number, sizeof(number), "%d", dup(sockets[1]));
		if (getppid() == parent)
			execl("/proc/self/exe", "test_nvme_handoff", "--successor", number, NULL);
		_exit(127);
	}
	close(sockets[1]);
	return pid;
}

static int save(struct drive *drive, struct weir_state *state)
{
	int rc = weir_arena_save(drive->arena, state, &drive->err);

	if (!rc)
		rc = weir_ioas_save(drive->ioas, state, &drive->err);
	if (!rc)
		rc = weir_device_save(drive->dev, state, &drive->err);
	if (!rc)
		rc = weir_nvme_save(drive->nvme, state, &drive->err);
	return rc;
}

static int adopt(struct drive *drive, struct weir_state *state)
{
	int rc = weir_arena_adopt(state, NULL, &drive->arena, &drive->err);

	if (!rc)
		rc = weir_ioas_adopt(state, &drive->arena, 1, NULL, &drive->ioas, &drive->err);
	if (!rc)
		rc = weir_device_adopt(state, drive->ioas, NULL, &drive->dev, &drive->err);
	if (!rc)
		rc = weir_nvme_adopt(state, drive->dev, drive->arena, &drive->options, &drive->nvme,
				     &drive->err);
	if (rc)
		return rc;
	drive->mapping = weir_ioas_find_arena(drive->ioas, drive->arena);
	drive->ns = weir_nvme_next_ns(drive->nvme, 0);
	return drive->mapping && drive->ns ? 0 : -ENOENT;
}

static void abandon(struct drive *drive)
{
	weir_nvme_abandon(drive->nvme);
	weir_device_abandon(drive->dev);
	weir_ioas_abandon(drive->ioas);
	weir_arena_destroy(drive->arena);
}

/* Hands the drive on and waits for the end of the successor. Returns 0 when all was well. */
static int hand_over(struct drive *drive, struct luggage *luggage)
{
	struct weir_state *state;
	int sockets[2], status, rc;
	pid_t pid;

	for (unsigned int i = 0; i < LOADS; i++) {
		if (!luggage->loads[i].inflight)
			return complain("hand over", "nothing is in flight");
	}
	if (weir_state_create(&state, &drive->err) || save(drive, state))
		return complain("save", drive->err.text);
	abandon(drive);
	pid = start_successor(sockets);
	if (pid < 0)
		return complain("successor", strerror(errno));
	rc = move(sockets[0], luggage, sizeof(*luggage), true)
		     ? weir_handoff_send(sockets[0], state, HAND_MS, &drive->err)
		     : complain("luggage", strerror(errno));
	if (rc)
		complain("send", drive->err.text);
	weir_state_destroy(state);
	close(sockets[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		return complain("successor", "it failed");
	return rc;
}

/* Turns until every load has done so many more. */
static int turn(struct luggage *luggage, uint64_t ios)
{
	for (unsigned int i = 0; i < LOADS; i++) {
		struct load *load = &luggage->loads[i];

		if (!load_run(load, load->done + ios))
			return complain("load", load->error);
	}
	/* Every second command is late, so that some are in flight now. */
	for (unsigned int i = 0; i < LOADS; i++) {
		if (!load_turn(&luggage->loads[i], true))
			return complain("load", luggage->loads[i].error);
	}
	return 0;
}

/* The end of the last successor: all that was ever in flight comes back, all data is there. */
static int finish(struct drive *drive, struct luggage *luggage)
{
	struct weir_nvme_info info;
	struct weir_error err;
	uint8_t page[512];

	for (unsigned int i = 0; i < LOADS; i++) {
		struct load *load = &luggage->loads[i];

		if (!load_drain(load, HAND_MS) || !load_verify(load) ||
		    !load_run(load, load->done + 100) || !load_verify(load))
			return complain("load", load->error);
		if (load->submitted != load->done || load->failed || load->reset || load->gone)
			return complain("load", "an I/O did not end well");
	}
	weir_nvme_info(drive->nvme, &info);
	if (strcmp(info.serial, "WEIRSIM0"))
		return complain("serial number", info.serial);
	if (weir_nvme_log_page(drive->nvme, UINT32_MAX, 2, 0, page, sizeof(page), &err) ||
	    weir_nvme_read(drive->nvme, 1, 0, page, sizeof(page), &err))
		return complain("after the hand-over", err.text);
	for (unsigned int i = 0; i < LOADS; i++)
		load_end(&luggage->loads[i], true);
	drive_close(drive);
	return 0;
}

static int attach(struct drive *drive, struct luggage *luggage)
{
	for (unsigned int i = 0; i < LOADS; i++) {
		struct load *load = &luggage->loads[i];
		struct weir_nvme_qp *qp = weir_nvme_qp_by_id(drive->nvme, i + 1);

		if (!qp || weir_nvme_qp_inflight(qp) != load->inflight)
			return complain("queue pair", "not as it was");
		if (drive->options.interrupts && weir_nvme_qp_fd(qp) < 0)
			return complain("queue pair", "without its eventfd");
		load_attach(load, drive->nvme, drive->ns, qp, load->data);
	}
	return 0;
}

static int successor_main(int socket)
{
	struct luggage *luggage = calloc(1, sizeof(*luggage));
	struct drive *drive = calloc(1, sizeof(*drive));
	struct weir_state *state;
	int rc;

	alarm(WATCHDOG_S);
	if (!luggage || !drive || !move(socket, luggage, sizeof(*luggage), false))
		return complain("luggage", strerror(errno));
	drive_resources_before(drive);
	drive->options = luggage->options;
	if (weir_handoff_receive(socket, HAND_MS, &state, &drive->err))
		return complain("receive", drive->err.text);
	rc = adopt(drive, state);
	if (rc)
		return complain("adopt", drive->err.text);
	if (weir_state_bytes(state) || weir_state_nr_fds(state))
		return complain("state", "something is left in it");
	weir_state_destroy(state);
	rc = attach(drive, luggage);
	if (!rc && luggage->generations--) {
		rc = turn(luggage, 60);
		if (!rc)
			rc = hand_over(drive, luggage);
	} else if (!rc) {
		rc = finish(drive, luggage);
	}
	if (!rc) {
		struct resources *after = malloc(sizeof(*after));

		resources_look(after);
		after->private_kib = drive->before.private_kib;
		if (!resources_same(&drive->before, after))
			rc = complain("resources", "not as before");
		free(after);
	}
	free(drive);
	free(luggage);
	return rc;
}

static void begin_loads(struct drive *drive, struct luggage *luggage, uint32_t region_blocks)
{
	for (uint32_t i = 0; i < LOADS; i++) {
		struct load_options options = { .depth = 24,
						.lba = 20000 * i,
						.region_blocks = region_blocks,
						.regions = 200,
						.flush_every = 50,
						.seed = 70 + i };

		if (load_begin(&luggage->loads[i], drive->nvme, drive->ns, &options, &drive->err))
			fail_msg("%s", drive->err.text);
	}
}

#define LATE " --size 64M --fault delay-every=2,delay-us=20000"

static void update(const char *arguments, const struct weir_nvme_options *options,
		   uint32_t region_blocks, unsigned int generations)
{
	struct drive *drive = calloc(1, sizeof(*drive));
	struct luggage *luggage = calloc(1, sizeof(*luggage));

	drive_resources_before(drive);
	drive->options = luggage->options = *options;
	luggage->generations = generations;
	drive_up(drive, arguments);
	begin_loads(drive, luggage, region_blocks);
	assert_int_equal(turn(luggage, 100), 0);
	assert_int_equal(hand_over(drive, luggage), 0);
	drive_stop(drive);
	drive_resources_after(drive);
	free(luggage);
	free(drive);
}

static void test_update(void **state)
{
	const struct weir_nvme_options options = { .size = sizeof(options) };

	(void)state;
	update(LATE, &options, 8, 0);
}

static void test_three_generations(void **state)
{
	const struct weir_nvme_options options = { .size = sizeof(options), .interrupts = 1 };

	(void)state;
	update(LATE, &options, 8, 2);
}

static void test_lists(void **state)
{
	const struct weir_nvme_options options = { .size = sizeof(options), .no_sgl = 1 };

	(void)state;
	update(LATE, &options, 40, 1);
}

static void test_shadow_doorbells(void **state)
{
	const struct weir_nvme_options options = { .size = sizeof(options) };

	(void)state;
	update("--trap-doorbells" LATE, &options, 8, 1);
}

static void test_messages(void **state)
{
	const struct weir_nvme_options options = { .size = sizeof(options) };

	(void)state;
	update("--trap-doorbells --no-shadow-doorbells --no-mmap-dma" LATE, &options, 8, 1);
}

static void test_controller_memory(void **state)
{
	const struct weir_nvme_options options = { .size = sizeof(options), .cmb_queues = 1 };

	(void)state;
	update("--cmb 1M" LATE, &options, 8, 1);
}

/* Saving changes nothing: a process whose successor does not come goes on. */
static void test_no_successor(void **state)
{
	struct drive *drive = calloc(1, sizeof(*drive));
	struct luggage *luggage = calloc(1, sizeof(*luggage));
	struct weir_state *saved;
	int sockets[2];

	(void)state;
	drive_resources_before(drive);
	drive_up(drive, LATE);
	begin_loads(drive, luggage, 8);
	assert_int_equal(turn(luggage, 100), 0);
	assert_int_equal(weir_state_create(&saved, &drive->err), 0);
	assert_int_equal(save(drive, saved), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	close(sockets[1]);
	assert_int_equal(weir_handoff_send(sockets[0], saved, 1000, &drive->err), -EPIPE);
	close(sockets[0]);
	weir_state_destroy(saved);
	assert_int_equal(turn(luggage, 100), 0);
	assert_int_equal(finish(drive, luggage), 0);
	drive_stop(drive);
	drive_resources_after(drive);
	free(luggage);
	free(drive);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_no_successor),
		cmocka_unit_test(test_three_generations),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_shadow_doorbells),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_controller_memory),
	};

	if (argc == 3 && !strcmp(argv[1], "--successor"))
		return successor_main(atoi(argv[2])) ? 1 : 0;
	drive_warm_up();
	return cmocka_run_group_tests_name("nvme_handoff", tests, NULL, NULL);
}
