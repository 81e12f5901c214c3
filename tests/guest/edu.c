/* SPDX-License-Identifier: BSD-3-Clause */
#include <unistd.h>

#include "edu.h"

#define DMA_SOURCE 0x80
#define DMA_DESTINATION 0x88
#define DMA_COUNT 0x90
#define DMA_COMMAND 0x98
#define COMMAND_START 0x1u
#define COMMAND_TO_MEMORY 0x2u
#define BUFFER_ADDRESS 0x40000u

static volatile uint64_t *dma_register(void *bar0, size_t offset)
{
	return (volatile uint64_t *)((char *)bar0 + offset);
}

bool edu_copy(void *bar0, uint64_t iova, size_t size, enum edu_direction direction)
{
	bool to_memory = direction == EDU_TO_MEMORY;

	*dma_register(bar0, DMA_SOURCE) = to_memory ? BUFFER_ADDRESS : iova;
	*dma_register(bar0, DMA_DESTINATION) = to_memory ? iova : BUFFER_ADDRESS;
	*dma_register(bar0, DMA_COUNT) = size;
	*dma_register(bar0, DMA_COMMAND) = COMMAND_START | (to_memory ? COMMAND_TO_MEMORY : 0);
	for (int waited = 0; waited < 100; waited++) {
		usleep(10 * 1000);
		if (!(*dma_register(bar0, DMA_COMMAND) & COMMAND_START))
			return true;
	}
	return false;
}
