/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One device opened through the kernel's VFIO: group, container, type1. No Weir code: the lab is
 * checked by itself.
 */
#ifndef WEIR_TESTS_GUEST_TYPE1_H
#define WEIR_TESTS_GUEST_TYPE1_H

#include <stddef.h>
#include <stdint.h>

struct type1 {
	int container;
	int group;
	int device;
	void *bar0;
	size_t bar0_size;
};

/** Gives the device to vfio-pci by driver_override; 0 or a negative errno. */
int type1_bind(const char *bdf);

/**
 * Opens a bound device, lets it use the bus, maps its BAR 0. 0 or a negative errno; failed_step
 * then names what went wrong.
 */
int type1_open(struct type1 *vfio, const char *bdf, const char **failed_step);

/** Maps memory for the device at iova; 0 or a negative errno. */
int type1_map(struct type1 *vfio, void *memory, size_t size, uint64_t iova);

void type1_close(struct type1 *vfio);

#endif
