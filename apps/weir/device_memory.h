/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a device, exported so that other devices can reach it. */
#ifndef WEIR_APPS_DEVICE_MEMORY_H
#define WEIR_APPS_DEVICE_MEMORY_H

#include <stdint.h>
#include <weir/ioas.h>
#include <weir/p2p.h>

/* Exported in whole pages around what is asked for. */
struct device_memory {
	const char *address;
	uint64_t offset, bytes; /* of what was asked for */
	struct weir_ioas *ioas; /* of the memory's device, which does no DMA */
	struct weir_device *dev;
	struct weir_dmabuf dmabuf;
	uint64_t inside; /* from the start of the export to the first byte */
};

/* Opens a device of the kind that drivers/membar knows, and exports a part of its memory. On
 * failure nothing is left open. -ERANGE: it has less. */
int device_memory_open(struct device_memory *memory, const char *address, uint64_t offset,
		       uint64_t bytes, struct weir_error *err);
void device_memory_close(struct device_memory *memory);

/* Maps it for another device. `iova` is where its first byte is then. */
int device_memory_map(const struct device_memory *memory, struct weir_ioas *ioas,
		      enum weir_prot prot, struct weir_mapping **mapping, uint64_t *iova,
		      struct weir_error *err);

/* Whether it is still there: -ENODEV otherwise. */
int device_memory_check(const struct weir_mapping *mapping, struct weir_error *err);

#endif
