/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The victim is taken away under load, in three ways: its removal is asked for, its driver is to be
 * unbound, or it is gone without a word. Each time it comes back, which the worker learns from
 * nobody but the kernel.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

/* Steps of both sides. */
#define LOADED 1 /* worker: the fault may come */
#define ASKED 2 /* worker: it was asked to give the device back, and still has it */
#define BLOCKED 1 /* machine: whoever asked is waiting */
#define LEFT 3 /* worker: it has closed the device and seen it go */
#define UNBOUND 2 /* machine: whoever asked has got it */
#define BACK 3 /* machine: the device is there, bound and given */

static bool seen(const struct rig *rig, enum weir_nvme_event_type type)
{
	return rig->seen & 1u << type;
}

static bool hotplug_seen(const struct rig *rig, enum weir_hotplug_type type)
{
	return rig->hotplug_seen & 1u << type;
}

/* The device still works after the request, for as long as its owner wants. */
static void obey_request(struct rig *rig)
{
	rig_start_load(rig);
	rig_worker_reach(rig, LOADED);
	rig_wait_until(rig, seen(rig, WEIR_NVME_EVENT_REMOVE_REQUEST), "a request for removal");
	snprintf(rig->figures, sizeof(rig->figures), "%u I/Os were out when it was asked for",
		 atomic_load(&rig->victim_load.outstanding));
	rig_must(rig, atomic_load(&rig->victim_load.outstanding), "no I/O was out");
	rig_more_load(rig, 200);
	rig_worker_reach(rig, ASKED);
	rig_worker_await(rig, BLOCKED);
	rig_end_load(rig);
	rig_close_victim(rig);
}

static void see_it_go(struct rig *rig)
{
	struct weir_error err;
	int ret;

	rig_wait_until(rig, hotplug_seen(rig, WEIR_HOTPLUG_REMOVED), "news of the removal");
	ret = rig_try_victim(rig, &err);
	rig_must(rig, ret == -ENOENT, "opening what is not there returned %d", ret);
	rig_must(rig, strstr(err.text, machine_victim.address), "not named: %s", err.text);
	rig->hotplug_seen = 0;
	rig_worker_reach(rig, LEFT);
}

static void see_it_return(struct rig *rig, bool added)
{
	rig_wait_until(rig,
		       hotplug_seen(rig, WEIR_HOTPLUG_BOUND) &&
			       (!added || hotplug_seen(rig, WEIR_HOTPLUG_ADDED)),
		       "news of the arrival");
	/* A node's owner changes without news. */
	rig_worker_await(rig, BACK);
	rig_open_victim(rig);
	rig_resume_load(rig);
}

static void bring_back(struct rig *rig)
{
	int ret = machine_plug(&machine_victim);

	if (!ret)
		ret = machine_bind(machine_victim.address, rig->user);
	rig_must(rig, !ret, "plugging in: %s", strerror(-ret));
	rig_machine_reach(rig, BACK);
}

static void asked_worker(struct rig *rig)
{
	obey_request(rig);
	see_it_go(rig);
	see_it_return(rig, true);
}

static void asked_machine(struct rig *rig)
{
	int ret;

	rig_machine_await(rig, LOADED);
	ret = machine_unplug(&machine_victim);
	rig_must(rig, !ret, "device_del: %s", strerror(-ret));
	rig_machine_await(rig, ASKED);
	rig_must(rig, machine_has(machine_victim.address), "it went while it was open");
	rig_machine_reach(rig, BLOCKED);
	rig_machine_await(rig, LEFT);
	rig_must(rig, !machine_has(machine_victim.address), "it is still there");
	bring_back(rig);
}

static void unbind_worker(struct rig *rig)
{
	struct weir_error err;
	int ret;

	obey_request(rig);
	rig_wait_until(rig, hotplug_seen(rig, WEIR_HOTPLUG_UNBOUND), "news of the unbinding");
	rig_worker_await(rig, UNBOUND);
	ret = rig_try_victim(rig, &err);
	rig_must(rig, ret == -EOPNOTSUPP, "opening what has no driver returned %d", ret);
	rig_must(rig, strstr(err.text, machine_victim.address), "not named: %s", err.text);
	rig->hotplug_seen = 0;
	rig_worker_reach(rig, LEFT);
	see_it_return(rig, false);
}

static void wait_for_unbinding(struct rig *rig, pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	uint64_t deadline = rig_now_ms() + RIG_PATIENCE_S * UINT64_C(1000);
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		rig_must(rig, rig_now_ms() < deadline, "the unbinding does not end");
		nanosleep(&pause, NULL);
	}
	rig_must(rig, !status, "the unbinding ended with %d", status);
}

static void unbind_machine(struct rig *rig)
{
	pid_t pid;
	int ret;

	rig_machine_await(rig, LOADED);
	pid = machine_unbind(machine_victim.address);
	rig_must(rig, pid > 0, "no process");
	rig_machine_await(rig, ASKED);
	rig_must(rig, !waitpid(pid, &ret, WNOHANG), "unbound while it was open");
	rig_machine_reach(rig, BLOCKED);
	wait_for_unbinding(rig, pid);
	rig_machine_reach(rig, UNBOUND);
	rig_machine_await(rig, LEFT);
	ret = machine_bind(machine_victim.address, rig->user);
	rig_must(rig, !ret, "binding again: %s", strerror(-ret));
	rig_machine_reach(rig, BACK);
}

#define must_be_gone(rig, call) \
	do { \
		int must_ret = (call); \
\
		rig_must(rig, must_ret == -ENODEV, #call " returned %d", must_ret); \
	} while (0)

/* Everything that reaches the device says so, and nothing raises a signal. */
static void call_all_of_device(struct rig *rig)
{
	struct weir_device *dev = rig->victim_dev;
	uint32_t word = 0;
	int none = -1;

	rig_must(rig, weir_device_gone(dev), "the device does not say that it is gone");
	must_be_gone(rig, weir_device_read32(dev, 0, 0, &word));
	must_be_gone(rig, weir_device_write32(dev, 0, 0x14, 0));
	must_be_gone(rig, weir_device_read(dev, WEIR_REGION_CONFIG, 0, &word, 4, NULL));
	must_be_gone(rig, weir_device_write(dev, WEIR_REGION_CONFIG, 4, &word, 2, NULL));
	must_be_gone(rig, weir_device_bus_master(dev, 1, NULL));
	must_be_gone(rig, weir_device_find_capability(dev, 0x10));
	must_be_gone(rig, weir_device_reset(dev, NULL));
	must_be_gone(rig, weir_irq_bind(dev, WEIR_IRQ_MSIX, 0, 1, &none, NULL));
	must_be_gone(rig, weir_irq_unbind(dev, WEIR_IRQ_MSIX, NULL));
	must_be_gone(rig, weir_irq_arm(dev, 0));
	must_be_gone(rig, weir_irq_disarm(dev, 0));
	/* Whatever its registers read now, they can be read. */
	word = *(volatile uint32_t *)weir_device_bar(dev, 0, 0, 4);
}

static void call_all_of_drive(struct rig *rig)
{
	const struct weir_nvme_command identify = { .opcode = 0x06, .cdw10 = 1 };
	struct weir_nvme_qp *qp;
	uint8_t data[4096];

	must_be_gone(rig, weir_nvme_read(rig->victim, 1, 0, data, sizeof(data), NULL));
	must_be_gone(rig, weir_nvme_write(rig->victim, 1, 0, data, sizeof(data), NULL));
	must_be_gone(rig, weir_nvme_flush(rig->victim, 1, NULL));
	must_be_gone(rig, weir_nvme_admin(rig->victim, &identify, data, sizeof(data),
					  WEIR_NVME_FROM_DEVICE, NULL, NULL));
	must_be_gone(rig, weir_nvme_qp_create(rig->victim, NULL, &qp, NULL));
	must_be_gone(rig, weir_nvme_reset(rig->victim, 1000, NULL));
}

/* Its address space goes on for the bystander, with the dead device in it. */
static void use_address_space(struct rig *rig)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_mapping *mapping;
	struct weir_arena *arena;
	struct weir_error err;

	options.bytes = 2 << 20;
	if (weir_arena_create(&options, &arena, &err) ||
	    weir_ioas_map_arena(rig->ioas, arena, &mapping, &err) ||
	    weir_ioas_unmap(rig->ioas, mapping, &err))
		rig_fail(rig, "with a dead device: %s", err.text);
	weir_arena_destroy(arena);
}

static void surprise_worker(struct rig *rig)
{
	rig_start_load(rig);
	rig_worker_reach(rig, LOADED);
	rig_wait_until(rig, seen(rig, WEIR_NVME_EVENT_GONE), "news of the loss");
	rig_end_dead_load(rig);
	rig_must(rig, rig->victim_load.gone, "no I/O was out when it went");
	snprintf(rig->figures, sizeof(rig->figures), "%llu I/Os were out when it went",
		 (unsigned long long)rig->victim_load.gone);
	call_all_of_device(rig);
	call_all_of_drive(rig);
	use_address_space(rig);
	rig_close_victim(rig);
	see_it_go(rig);
	see_it_return(rig, true);
}

static void surprise_machine(struct rig *rig)
{
	int ret;

	rig_machine_await(rig, LOADED);
	ret = machine_cut_off(&machine_victim);
	rig_must(rig, !ret, "cutting it off: %s", strerror(-ret));
	rig_machine_await(rig, LEFT);
	bring_back(rig);
}

const struct rig_fault faults_unplug[] = {
	{ .name = "unplugged by request", .worker = asked_worker, .machine = asked_machine },
	{ .name = "driver unbound", .worker = unbind_worker, .machine = unbind_machine },
	{ .name = "unplugged by surprise",
	  .worker = surprise_worker,
	  .machine = surprise_machine,
	  .fault_guard = true },
	{ 0 },
};
