/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Processes that end without warning, and many that end in order.
 *
 *   test_nvme_kill [ROUNDS]
 *
 * Rounds of each kind: 20 without an argument; 100 is the long form. Every round asserts that I/Os
 * were outstanding when the process was killed, that each cookie came back exactly once where there
 * is still somebody to take it, that nothing is left behind, and that what was flushed is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "drive.h"
#include "load.h"

#define FILE_BYTES (8 << 20)
#define REGIONS 128
#define LONG_MS 30000

static unsigned int rounds = 20;

/* A file for the drive, and the load's records where two processes see them. */
struct fixture {
	struct drive drive;
	struct load *load;
	char file[40];
	char arguments[96];
};

static struct fixture *begin(uint32_t seed)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	assert_non_null(f);
	strcpy(f->file, "/tmp/weir-sim-kill-XXXXXX");
	fd = mkstemp(f->file);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	close(fd);
	snprintf(f->arguments, sizeof(f->arguments), "--file %s%s", f->file,
		 seed % 2 ? " --write-cache" : "");
	f->load = mmap(NULL, sizeof(*f->load), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_true(f->load != MAP_FAILED);
	return f;
}

static void end(struct fixture *f)
{
	munmap(f->load, sizeof(*f->load));
	unlink(f->file);
	free(f);
}

static struct load_options load_shape(uint32_t seed)
{
	return (struct load_options){
		.depth = 32, .regions = REGIONS, .seed = seed, .flush_every = 40
	};
}

static void begin_load(struct fixture *f, uint32_t seed)
{
	struct load_options options = load_shape(seed);

	if (load_begin(f->load, f->drive.nvme, f->drive.ns, &options, &f->drive.err))
		fail_msg("%s", f->drive.err.text);
}

/* The load goes on with a drive that was opened anew: what was in flight is not any more. */
static void go_on(struct fixture *f)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	struct load *load = f->load;
	struct weir_nvme_qp *qp;
	uint8_t *data;

	options.depth = load->options.depth;
	if (weir_nvme_qp_create(f->drive.nvme, &options, &qp, &f->drive.err))
		fail_msg("%s", f->drive.err.text);
	data = weir_arena_alloc(f->drive.arena, (size_t)load->io_bytes * load->options.depth, 0);
	assert_non_null(data);
	load_forget(load, strstr(f->arguments, "--write-cache") != NULL);
	load_attach(load, f->drive.nvme, f->drive.ns, qp, data);
	if (!load_verify(load) || !load_run(load, load->done + 200) || !load_verify(load))
		fail_msg("%s", load->error);
	load_end(load, true);
}

static void wait_progress(struct load *load, uint64_t ios)
{
	uint64_t deadline = drive_now_ms() + LONG_MS;

	while ((atomic_load(&load->progress) < ios || !atomic_load(&load->outstanding)) &&
	       drive_now_ms() < deadline)
		drive_sleep_ms(1);
	assert_true(atomic_load(&load->progress) >= ios);
}

static uint64_t moment(uint32_t seed)
{
	struct load random = { .random = seed };

	return 100 + load_random(&random, 1500);
}

/* The server is killed: every cookie comes back, then -ENODEV; the next server has every block. */
static void server_round(uint32_t seed)
{
	struct fixture *f = begin(seed);

	drive_resources_before(&f->drive);
	drive_up(&f->drive, f->arguments);
	begin_load(f, seed);
	assert_int_equal(load_thread_start(f->load), 0);
	wait_progress(f->load, moment(seed));
	sim_process_kill(&f->drive.sim);
	pthread_join(f->load->thread, NULL);
	if (f->load->error[0])
		fail_msg("round %u: %s", seed, f->load->error);
	assert_true(f->load->dead);
	assert_true(f->load->gone > 0); /* outstanding at that moment */
	assert_int_equal(f->load->inflight, 0);
	assert_int_equal(f->load->submitted, f->load->done);
	load_end(f->load, true);
	drive_close(&f->drive);
	drive_resources_after(&f->drive);

	drive_up(&f->drive, f->arguments);
	go_on(f);
	drive_close(&f->drive);
	drive_stop(&f->drive);
	drive_resources_after(&f->drive);
	end(f);
}

static void test_kill_server(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < rounds; i++)
		server_round(1000 + i);
}

/* The client, in a process of its own. */
static void client_main(struct fixture *f, uint32_t seed)
{
	struct load_options options = load_shape(seed);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (drive_open(&f->drive) ||
	    load_begin(f->load, f->drive.nvme, f->drive.ns, &options, &f->drive.err))
		_exit(1);
	while (load_turn(f->load, true))
		;
	_exit(2);
}

/* The server is told by the end of the connection; until it has noticed it has an owner. */
static void open_next(struct drive *drive)
{
	uint64_t deadline = drive_now_ms() + LONG_MS;
	int rc;

	do {
		rc = drive_open(drive);
		if (rc)
			drive_sleep_ms(2);
	} while (rc == -EBUSY && drive_now_ms() < deadline);
	if (rc)
		fail_msg("%s", drive->err.text);
}

/* Stops the client at a moment at which it has I/Os out, and kills it there. */
static void kill_under_load(struct fixture *f, pid_t pid)
{
	unsigned int tries = 0;
	int status;

	for (;;) {
		kill(pid, SIGSTOP);
		assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		assert_true(WIFSTOPPED(status));
		if (f->load->inflight)
			break;
		assert_true(++tries < 1000);
		kill(pid, SIGCONT);
		drive_sleep_ms(1); /* lets it run on a busy machine too */
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The client is killed: the server serves the next one, which finds every block. */
static void client_round(uint32_t seed)
{
	struct fixture *f = begin(seed);
	pid_t pid;

	drive_resources_before(&f->drive);
	drive_start(&f->drive, f->arguments);
	pid = fork();
	if (!pid)
		client_main(f, seed);
	assert_true(pid > 0);
	wait_progress(f->load, moment(seed));
	kill_under_load(f, pid);
	if (f->load->error[0])
		fail_msg("round %u: %s", seed, f->load->error);

	open_next(&f->drive);
	go_on(f);
	drive_close(&f->drive);
	drive_stop(&f->drive);
	drive_resources_after(&f->drive);
	end(f);
}

static void test_kill_client(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < rounds; i++)
		client_round(2000 + i);
}

static void some_io(struct drive *drive, uint32_t seed)
{
	struct load *load = calloc(1, sizeof(*load));
	struct load_options options = { .depth = 8, .regions = 16, .seed = seed };

	assert_non_null(load);
	if (load_begin(load, drive->nvme, drive->ns, &options, &drive->err))
		fail_msg("%s", drive->err.text);
	if (!load_run(load, 20) || !load_verify(load))
		fail_msg("%s", load->error);
	load_end(load, true);
	free(load);
}

static void test_clients_in_turn(void **state)
{
	struct drive *drive = calloc(1, sizeof(*drive));

	(void)state;
	drive_resources_before(drive);
	drive_start(drive, "--size 16M");
	for (uint32_t i = 0; i < rounds; i++) {
		drive->options.interrupts = i & 1;
		open_next(drive);
		some_io(drive, 3000 + i);
		drive_close(drive);
	}
	drive_stop(drive);
	drive_resources_after(drive);
	free(drive);
}

/* Servers in turn; every other one ends before its client has closed. */
static void test_servers_in_turn(void **state)
{
	struct drive *drive = calloc(1, sizeof(*drive));

	(void)state;
	drive_resources_before(drive);
	for (uint32_t i = 0; i < rounds; i++) {
		drive_up(drive, "--size 16M");
		some_io(drive, 4000 + i);
		if (i & 1)
			drive_stop(drive);
		drive_close(drive);
		if (!(i & 1))
			drive_stop(drive);
	}
	drive_resources_after(drive);
	free(drive);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_server),
		cmocka_unit_test(test_kill_client),
		cmocka_unit_test(test_clients_in_turn),
		cmocka_unit_test(test_servers_in_turn),
	};

	if (argc > 1)
		rounds = (unsigned int)strtoul(argv[1], NULL, 10);
	drive_warm_up();
	return cmocka_run_group_tests_name("nvme_kill", tests, NULL, NULL);
}
