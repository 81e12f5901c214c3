/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QEMU's edu device ("docs/specs/edu" of QEMU): a DMA engine between memory and a 4 KiB buffer of
 * the device.
 */
#ifndef WEIR_TESTS_GUEST_EDU_H
#define WEIR_TESTS_GUEST_EDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDU_BUFFER_SIZE 4096

enum edu_direction {
	EDU_FROM_MEMORY,
	EDU_TO_MEMORY,
};

/** Copies between iova and the device's buffer; false when the device is not done in a second. */
bool edu_copy(void *bar0, uint64_t iova, size_t size, enum edu_direction direction);

#endif
