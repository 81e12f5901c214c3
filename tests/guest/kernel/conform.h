/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance of VFIO's modules: what the parts of the program share. Every case runs in a process
 * of its own, so that what it leaves open, crashes or hangs meets no other; the cases of a part run
 * one after the other. Checks have names that say what was done, and no numbers of the kernel's
 * choice, because the list of known deviations goes by them.
 */
#ifndef WEIR_TESTS_GUEST_KERNEL_CONFORM_H
#define WEIR_TESTS_GUEST_KERNEL_CONFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../tap.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define PAGE 4096u

/* The guest's devices, by what they are good for. */
enum conform_kind {
	EDU, /* DMA where it is told to, INTx and MSI; no reset, no PCI Express */
	MEMORY, /* plain memory in BAR 2 */
	NVME, /* MSI-X, function reset, power management, a bus of its own */
	NIC, /* INTx, MSI and MSI-X, an I/O BAR */
	PF, /* SR-IOV */
	KINDS
};

struct conform_device {
	const char *kind;
	char bdf[16];
	char node[32]; /* of its group */
};

struct conform_case {
	const char *name;
	void (*run)(void);
};

struct conform_part {
	const char *name;
	const struct conform_case *cases;
	size_t count;
	/*
	 * What is to be done before devices are bound, if anything, and is checked there. False:
	 * they cannot be.
	 */
	bool (*prepare)(void);
};

extern struct conform_device the_devices[KINDS];
/* The folder of the modules that are loaded, or NULL. */
extern const char *the_modules;

extern const struct conform_part part_container, part_group, part_type1, part_info, part_irqs,
	part_config, part_bar, part_reset, part_threads, part_vectors, part_isolation, part_memory,
	part_paths, part_iommufd, part_iommufd_areas, part_iommufd_device, part_cdev,
	part_cdev_life, part_cdev_threads, part_neighbours, part_contexts, part_unsafe, part_32bit,
	part_cdev_memory, part_noiommu, part_noiommu_life, part_mixed;

/* What is being looked at, in front of the names of all further checks of this case. */
void about(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One check. Returns whether it passed. */
bool check(bool passed, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One check of a result: a negative errno, or what a call returned. */
bool expect(long got, long wanted, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Not a check as long as it works. When got is negative, the check fails and the case ends. */
long must(long got, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
