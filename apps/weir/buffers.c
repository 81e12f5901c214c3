/* SPDX-License-Identifier: BSD-3-Clause */
#include "buffers.h"
#include "fail.h"
#include "transfer.h"

#include <errno.h>
#include <stdlib.h>

int buffers_take(struct buffers *buffers, const struct target *target, unsigned int nr,
		 struct weir_error *err)
{
	buffers->arena = weir_nvme_arena(target->nvme);
	buffers->nr = nr;
	buffers->data = calloc(nr, sizeof(*buffers->data));
	for (unsigned int i = 0; buffers->data && i < nr; i++) {
		buffers->data[i] = weir_arena_alloc(buffers->arena, TRANSFER_PIECE, 0);
		if (buffers->data[i])
			continue;
		buffers_give(buffers);
		buffers->data = NULL;
	}
	return buffers->data ? 0 : fail(err, -ENOMEM, "no memory for %u buffers", nr);
}

void buffers_give(struct buffers *buffers)
{
	for (unsigned int i = 0; i < buffers->nr; i++)
		weir_arena_free(buffers->arena, buffers->data[i]);
	free(buffers->data);
}

uint64_t buffers_iova(const struct buffers *buffers, unsigned int slot)
{
	return weir_arena_ptr_iova(buffers->arena, buffers->data[slot]);
}
