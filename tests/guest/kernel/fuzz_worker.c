/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sysfs.h"
#include "fuzz.h"

#define FEW_PAGES (64 * PAGE)
#define CHILD_ROUNDS 400
#define LONGEST_PAUSE 4000000 /* microseconds, between what is done from outside */
#define DRIVER "/sys/bus/pci/drivers/vfio-pci"

static struct fuzz_process process;
static struct fuzz_thread threads[MAX_THREADS];

static void run(struct fuzz_thread *thread, unsigned long rounds);

static void take_slot(struct fuzz_thread *thread, unsigned int number)
{
	thread->slot = fuzz_slot_of(process.worker, number);
	atomic_store(&thread->slot->since, 0);
	atomic_store(&thread->slot->killed, 0);
	atomic_store(&thread->slot->thread, (pid_t)syscall(SYS_gettid));
	atomic_store(&thread->slot->process, getpid());
}

/* A child with all files, a copy of the memory, and one thread. Slots of children are one thread's.
 */
static void fork_child(struct fuzz_thread *thread, unsigned int which)
{
	pid_t parent = getpid();
	long child;

	fuzz_begin(thread, FORK);
	child = fork();
	if (child) {
		thread->children[which] = (pid_t)(fuzz_end(thread, fuzz_errno(child)) > 0 ? child
											  : 0);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may be dead by now. */
	if (getppid() != parent)
		_exit(0);
	thread->is_child = true;
	thread->random = fuzz_mix(thread->random, which + 1);
	take_slot(thread, MAX_THREADS + which);
	atomic_fetch_add(&the_shared->children, 1);
	run(thread, 1 + fuzz_below(thread, CHILD_ROUNDS));
	if (fuzz_once_in(thread, 2))
		fuzz_close_all(thread);
	_exit(0);
}

static void end_child(struct fuzz_thread *thread, unsigned int which)
{
	struct fuzz_slot *slot = fuzz_slot_of(process.worker, MAX_THREADS + which);
	int status;

	if (!thread->children[which])
		return;
	atomic_store(&slot->killed, fuzz_now());
	fuzz_begin(thread, KILL_CHILD);
	fuzz_end(thread, fuzz_errno(kill(thread->children[which], SIGKILL)));
	if (waitpid(thread->children[which], &status, 0) == thread->children[which])
		fuzz_note_end(thread->children[which], status);
	atomic_store(&slot->process, 0);
	thread->children[which] = 0;
}

static void work_children(struct fuzz_thread *thread)
{
	unsigned int which = (unsigned int)fuzz_below(thread, MAX_CHILDREN);

	/* Only the first thread has children, and they none. */
	if (thread != &threads[0] || thread->is_child)
		return;
	if (thread->children[which])
		end_child(thread, which);
	else
		fork_child(thread, which);
}

static void set_limit(struct fuzz_thread *thread)
{
	struct rlimit limit = { .rlim_max = RLIM_INFINITY };

	limit.rlim_cur = fuzz_once_in(thread, 3) ? fuzz_below(thread, 256) * PAGE : RLIM_INFINITY;
	setrlimit(RLIMIT_MEMLOCK, &limit);
}

/* A driver that goes waits for all who have the device, who are to give it back when asked. */
static void give_back(struct fuzz_thread *thread)
{
	unsigned int wanted = atomic_load(&the_shared->wanted);

	if (!wanted || !fuzz_once_in(thread, 16))
		return;
	fuzz_unmap_regions(thread);
	fuzz_close_device(thread, wanted - 1);
}

/* Opening and resetting devices takes a hundred times as long as most of the others. */
static const struct {
	unsigned int weight;
	void (*run)(struct fuzz_thread *thread);
} actions[] = {
	{ 2, fuzz_group_session }, { 2, fuzz_cdev_session }, { 16, fuzz_container },
	{ 12, fuzz_group },	   { 180, fuzz_type1 },	     { 60, fuzz_objects },
	{ 240, fuzz_ioas },	   { 40, fuzz_attachment },  { 30, fuzz_device_info },
	{ 80, fuzz_irqs },	   { 8, fuzz_resets },	     { 50, fuzz_config },
	{ 50, fuzz_region },	   { 16, fuzz_map_region },  { 60, fuzz_touch },
	{ 60, fuzz_memory },	   { 20, fuzz_garbage },     { 4, fuzz_close_one },
	{ 8, work_children },	   { 2, set_limit },
};

static void act(struct fuzz_thread *thread)
{
	unsigned int all = 0;
	uint64_t choice;

	give_back(thread);
	/* Most calls need a device. */
	if (fuzz_pick(thread, DEVICES, NULL, NULL) < 0 && fuzz_once_in(thread, 4)) {
		(fuzz_once_in(thread, 2) ? fuzz_group_session : fuzz_cdev_session)(thread);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		all += actions[i].weight;
	choice = fuzz_below(thread, all);
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (choice < actions[i].weight) {
			actions[i].run(thread);
			return;
		}
		choice -= actions[i].weight;
	}
}

static void run(struct fuzz_thread *thread, unsigned long rounds)
{
	fuzz_set_thread(thread);
	while (rounds-- && !atomic_load(&the_shared->stop[process.worker])) {
		act(thread);
		atomic_fetch_add(&the_shared->rounds[process.worker], 1);
	}
}

static void *run_thread(void *argument)
{
	struct fuzz_thread *thread = argument;

	take_slot(thread, (unsigned int)(thread - threads));
	run(thread, -1ul);
	return NULL;
}

static void init_thread(unsigned int number, uint64_t seed)
{
	struct fuzz_thread *thread = &threads[number];
	unsigned char *buffer = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (buffer == MAP_FAILED || mprotect(buffer + 2 * PAGE, PAGE, PROT_NONE))
		_exit(1);
	*thread = (struct fuzz_thread){
		.random = fuzz_mix(seed, number),
		.process = &process,
		.buffer = buffer,
	};
}

static void init_process(unsigned int number)
{
	/* Aligned, so that huge pages can be there. */
	uintptr_t memory = (uintptr_t)mmap(NULL, (CHUNKS + 1) * CHUNK_SIZE, PROT_NONE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if ((void *)memory == MAP_FAILED)
		_exit(1);
	process.worker = number;
	process.memory = (unsigned char *)((memory + CHUNK_SIZE - 1) &
					   ~(uintptr_t)(CHUNK_SIZE - 1));
	fuzz_pools_init(&process);
	fuzz_catch_signals();
}

static void take_files(enum fuzz_pool pool, const int *files, unsigned int count, bool close_them)
{
	for (unsigned int i = 0; i < count; i++) {
		if (close_them)
			close(files[i]);
		else
			fuzz_keep(&threads[0], pool, files[i], 0);
	}
}

/* What is not shared is given back, and then nothing may be charged any more. */
static void settle(void)
{
	fuzz_close_all(&threads[0]);
	if (munmap(process.memory, CHUNKS * CHUNK_SIZE))
		_exit(1);
	atomic_fetch_add(&the_shared->charged, fuzz_charged());
	atomic_fetch_add(&the_shared->settled, 1);
}

void fuzz_worker(unsigned int number, uint64_t seed, const int *containers, const int *contexts,
		 unsigned int shared_files)
{
	struct fuzz_thread *first = &threads[0];
	pthread_t others[MAX_THREADS];
	bool alone;

	init_process(number);
	for (unsigned int i = 0; i < the_options.threads; i++)
		init_thread(i, seed);
	take_slot(first, 0);
	alone = fuzz_once_in(first, 2);
	take_files(CONTAINERS, containers, shared_files, alone);
	take_files(CONTEXTS, contexts, shared_files, alone);
	if (fuzz_once_in(first, 4))
		fuzz_limit_memory(FEW_PAGES);
	fuzz_fill_memory(first);
	if (fuzz_once_in(first, 2))
		fuzz_group_session(first);
	else
		fuzz_cdev_session(first);

	for (unsigned int i = 1; i < the_options.threads; i++) {
		if (pthread_create(&others[i], NULL, run_thread, &threads[i]))
			_exit(1);
	}
	run(first, -1ul);
	for (unsigned int i = 1; i < the_options.threads; i++)
		pthread_join(others[i], NULL);
	for (unsigned int i = 0; i < MAX_CHILDREN; i++)
		end_child(first, i);
	/* In any order, or in that of the kernel. */
	if (alone)
		settle();
	else if (fuzz_once_in(first, 2))
		fuzz_close_all(first);
	_exit(0);
}

/* Takes a device away and gives it back, which may have to wait until a worker ends. */
static void rebind(struct fuzz_thread *thread, unsigned int device)
{
	const char *bdf = the_options.devices[device].bdf;

	atomic_store(&the_shared->wanted, device + 1);
	fuzz_begin(thread, UNBIND);
	fuzz_end(thread, sysfs_write(bdf, DRIVER "/unbind"));
	atomic_store(&the_shared->wanted, 0);
	usleep((useconds_t)fuzz_below(thread, 100 * 1000));
	fuzz_begin(thread, REBIND);
	fuzz_end(thread, sysfs_write(bdf, DRIVER "/bind"));
}

void fuzz_outsider(unsigned int number, uint64_t seed)
{
	struct fuzz_thread *thread = &threads[0];

	init_process(number);
	init_thread(0, seed);
	take_slot(thread, 0);
	while (!atomic_load(&the_shared->stop[number])) {
		unsigned int device = (unsigned int)fuzz_below(thread, the_options.nr_devices);

		usleep((useconds_t)fuzz_below(thread, LONGEST_PAUSE));
		if (fuzz_once_in(thread, 3)) {
			rebind(thread, device);
			continue;
		}
		fuzz_begin(thread, SYSFS_RESET);
		fuzz_end(thread, sysfs_write("1", "/sys/bus/pci/devices/%s/reset",
					     the_options.devices[device].bdf));
	}
	_exit(0);
}
