/* SPDX-License-Identifier: BSD-3-Clause */
/* One buffer for each slot of a transfer, in the controller's arena. */
#ifndef WEIR_APPS_BUFFERS_H
#define WEIR_APPS_BUFFERS_H

#include "target.h"

struct buffers {
	struct weir_arena *arena;
	unsigned int nr;
	void **data;
};

/* Takes `nr` buffers of TRANSFER_PIECE bytes. */
int buffers_take(struct buffers *buffers, const struct target *target, unsigned int nr,
		 struct weir_error *err);
void buffers_give(struct buffers *buffers);

uint64_t buffers_iova(const struct buffers *buffers, unsigned int slot);

#endif
