/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VFIO's calls, each a function that returns what the call did or a negative errno. Those that are
 * a step on the way to what a case is about, and have to work, are called must_...: the case ends
 * when they fail.
 */
#ifndef WEIR_TESTS_GUEST_KERNEL_CALLS_H
#define WEIR_TESTS_GUEST_KERNEL_CALLS_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conform.h"

#define READ_WRITE (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/* Device features that Debian 12's <linux/vfio.h> knows under these names or not at all. */
#define FEATURE_VF_TOKEN 0u
#define FEATURE_MIGRATION 1u
#define FEATURE_LOW_POWER_ENTRY 3u
#define FEATURE_LOW_POWER_EXIT 5u

long call(int fd, unsigned long request, void *argument);
long call_number(int fd, unsigned long request, unsigned long argument);

int open_container(void);
int open_group(enum conform_kind kind);
long set_container(int group, int container);
long get_device(int group, const char *name);

/* A container with one group, perhaps its backend and its device; -1 what is not open. */
struct session {
	int container;
	int group;
	int device;
};

/* Without a backend (type 0), there is no device. */
struct session must_open(enum conform_kind kind, unsigned long type);
/* One more group for a session's container, and its device. */
struct session must_join(const struct session *first, enum conform_kind kind);
/* Device, group, container; what is -1 is not there. */
void close_session(struct session *session);

long map_dma(int container, const void *memory, uint64_t iova, uint64_t size, uint32_t flags);
/* Bytes that were unmapped. */
long unmap_dma(int container, uint64_t iova, uint64_t size, uint32_t flags);
/* Areas that can be mapped still, by the capability; a negative errno without it. */
long dma_available(int container);

/* Private memory, present, zero. */
void *must_allocate(size_t size);

struct vfio_region_info must_region(int device, unsigned int index);
void *must_map_region(int device, unsigned int index);

/* Configuration space as the device's file shows it; width 1, 2 or 4. */
uint32_t config_read(int device, unsigned int at, unsigned int width);
void config_write(int device, unsigned int at, unsigned int width, uint32_t value);
/* The same as the hardware has it. */
uint32_t hardware_config(enum conform_kind kind, unsigned int at, unsigned int width);
/* Offset of a capability, 0 if the device has none. */
unsigned int capability(int device, unsigned int id);
unsigned int extended_capability(int device, unsigned int id);
/* Memory decoding and bus mastering as told. */
void set_command(int device, bool memory, bool master);
/* Writes 0 to 3 into the function's power state. */
void set_power_state(int device, unsigned int state);

/* flags: one VFIO_IRQ_SET_DATA_... and one ACTION; data of that kind for count, or NULL. */
long set_irqs(int device, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
	      const void *data);

/* flags: a feature's number with GET, SET, PROBE. */
long device_feature(int device, uint32_t flags, void *data, size_t size);

/* NULL, where the compiler knows better than to let it through. */
void *no_address(void);

/* Kilobytes that this process has locked or pinned, by the kernel's count. */
long locked_kilobytes(void);

/* The kernel's log from here on. */
int must_open_log(void);
/* Whether text is in what has come since; closes it. */
bool log_has(int log, const char *text);

/* Reads a byte; false when that was a SIGBUS. From one thread at a time. */
bool readable(const volatile void *address);

#endif
