/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an administrator, or bad luck, does to the machine: drivers bound and unbound, devices
 * plugged in and out, resets, errors of the bus. Root only. Each function returns 0 or a negative
 * errno; none waits longer than MACHINE_PATIENCE_S.
 */
#ifndef WEIR_TESTS_FAULTS_MACHINE_H
#define WEIR_TESTS_FAULTS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MACHINE_PATIENCE_S 120

/* An NVMe drive of the lab (docs/guest-lab.md), as the guest and as QEMU know it. */
struct machine_drive {
	const char *address;
	const char *port; /* address of the port above it */
	const char *id, *serial, *backend, *bus; /* QEMU's */
};

extern const struct machine_drive machine_victim, machine_bystander;

/* Sends QEMU a command (QMP); its answer is cut to `size`. -EIO: QEMU refused. */
int machine_request(const char *command, char *answer, size_t size);

/* Binds a function to vfio-pci and gives its nodes to a user. */
int machine_bind(const char *address, uid_t user);
/* A process that asks the kernel to take the driver from a function, and ends when it has: with
 * status 0 if that went well. */
pid_t machine_unbind(const char *address);

/* Asks for a drive's removal, as somebody who presses the button at its slot. */
int machine_unplug(const struct machine_drive *drive);
/* Takes it out without asking anybody. */
int machine_cut_off(const struct machine_drive *drive);
/* Plugs it in again, as soon as QEMU has forgotten the old one, and waits until it is seen. */
int machine_plug(const struct machine_drive *drive);

bool machine_has(const char *address);

/* Resets a function behind the back of whoever uses it. */
int machine_reset(const char *address);
/* The port above a drive reports an uncorrectable error. */
int machine_bus_error(const struct machine_drive *drive, bool fatal);

/* Free huge pages of 2 MiB. */
long machine_free_huge_pages(void);

#endif
