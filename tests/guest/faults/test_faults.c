/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drives behind VFIO that are unplugged, reset, unbound, and processes that are killed, all under
 * load. Runs in a guest of the lab, as root; what uses the drives runs as an ordinary user. Prints
 * TAP. Everything on the victim and the bystander is overwritten.
 *
 *   test_faults TRANSPORT... [-- FAULT]
 *
 * Transports are "group" and "cdev"; a fault's name is part of what its checks are called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../tap.h"
#include "faults.h"

#define USER "lab"
#define SEED 4711

static const char *only; /* of the faults; NULL: all */

static bool set_up(struct tap *tap, const char *transport)
{
	struct rig *rig = rig_new(transport, 0, USER);
	bool cdev = !strcmp(transport, "cdev");
	int ret;

	if (!rig)
		return tap_check(tap, false, "%s: no memory, or no user " USER, transport);
	/* Modules that were loaded by hand are not modprobe's to find. */
	ret = system(cdev ? "{ test -e /dev/iommu || modprobe iommufd; } && modprobe vfio-pci"
			  : "modprobe vfio-pci");
	if (!ret)
		ret = machine_bind(machine_victim.address, rig->user);
	if (!ret)
		ret = machine_bind(machine_bystander.address, rig->user);
	if (!ret && cdev)
		ret = chown("/dev/iommu", rig->user, (gid_t)-1);
	rig_free(rig);
	return !ret || tap_check(tap, false, "%s: setting up: %d", transport, ret);
}

static void report(struct tap *tap, const struct rig *rig, const char *name, bool passed,
		   uint64_t began)
{
	tap_check(tap, passed, "%s: %s: %s (%llu ms)", rig->transport, name,
		  passed ? rig->figures : rig->error, (unsigned long long)(rig_now_ms() - began));
}

static bool wanted(const char *name)
{
	return !only || strstr(name, only);
}

static void try_one(struct tap *tap, const char *transport, const struct rig_fault *fault)
{
	struct rig *rig = rig_new(transport, SEED + tap->checks * 100, USER);
	uint64_t began = rig_now_ms();

	if (!rig)
		abort();
	report(tap, rig, fault->name, rig_try(rig, fault), began);
	rig_free(rig);
}

static void try_killing(struct tap *tap, const char *transport)
{
	struct rig *rig = rig_new(transport, SEED + tap->checks * 100, USER);
	uint64_t began = rig_now_ms();

	if (!rig)
		abort();
	report(tap, rig, "killed", faults_kill(rig), began);
	rig_free(rig);
}

static void try_all(struct tap *tap, const char *transport)
{
	const struct rig_fault *const lists[] = { faults_reset, faults_unplug };

	if (!set_up(tap, transport))
		return;
	if (wanted("killed"))
		try_killing(tap, transport);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (const struct rig_fault *fault = lists[i]; fault->name; fault++) {
			if (wanted(fault->name))
				try_one(tap, transport, fault);
		}
	}
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };
	int transports = 1;

	while (transports < argc && strcmp(argv[transports], "--") != 0)
		transports++;
	if (transports == 1 || argc > transports + 2) {
		fprintf(stderr, "usage: test_faults TRANSPORT... [-- FAULT]\n");
		return 2;
	}
	only = argc == transports + 2 ? argv[transports + 1] : NULL;
	for (int i = 1; i < transports; i++)
		try_all(&tap, argv[i]);
	return tap_finish(&tap);
}
