/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile controller: the input decides what is submitted, which bytes appear in the completion
 * queue, and when the owner polls. Whatever it does, each cookie comes back exactly once, and a
 * queue that is dead stays dead.
 */
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "nvme_fixture.h"

#define MAX_COOKIES 4096

struct owner {
	struct nvme_fixture f;
	uint8_t outstanding[MAX_COOKIES];
	uint64_t next;
	unsigned int inflight;
	bool dead;
};

static void submit(struct owner *owner, struct fuzz_input *input)
{
	struct weir_nvme_io ios[8];
	unsigned int n = (unsigned int)take(input, 1) % 8;
	int taken;

	if (owner->next + n > MAX_COOKIES)
		return;
	for (unsigned int i = 0; i < n; i++)
		ios[i] = (struct weir_nvme_io){ .opcode = (uint8_t)take(input, 1),
						.flags = (uint8_t)take(input, 1),
						.blocks = (uint32_t)take(input, 2),
						.lba = take(input, 3),
						.data = take(input, 5),
						.cookie = owner->next + i };
	taken = weir_nvme_submit(owner->f.qp, &owner->f.ns, ios, n);
	require(owner->dead ? taken == -ENODEV : taken >= 0 || taken == -ENODEV);
	for (int i = 0; i < taken; i++) {
		owner->outstanding[owner->next++] = 1;
		owner->inflight++;
	}
}

static int poll_once(struct owner *owner, unsigned int max)
{
	struct weir_nvme_done done[16];
	int n = weir_nvme_poll(owner->f.qp, done, max);

	require(n <= (int)max && (!owner->dead || n == -ENODEV));
	for (int i = 0; i < n; i++) {
		require(done[i].cookie < owner->next && owner->outstanding[done[i].cookie]);
		owner->outstanding[done[i].cookie] = 0;
		owner->inflight--;
	}
	if (n < 0) {
		require(!owner->inflight);
		owner->dead = true;
	}
	require(weir_nvme_qp_inflight(owner->f.qp) == owner->inflight);
	return n;
}

/* An entry anywhere in the ring, with any content. */
static void scribble(struct owner *owner, struct fuzz_input *input)
{
	uint32_t slot = (uint32_t)take(input, 1) & (owner->f.qp->state->cq_entries - 1);
	uint64_t entry[2] = { take(input, 8), take(input, 8) };

	memcpy((void *)(uintptr_t)&owner->f.qp->cq[slot], entry, sizeof(entry));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct nvme_fixture_shape shape = { .depth = 15,
							 .sq_entries = 16,
							 .cq_entries = 32,
							 .block_shift = 9,
							 .blocks = 1 << 20,
							 .max_transfer = 64 << 10 };
	struct fuzz_input input = { .at = data, .end = data + bytes };
	struct owner *owner = calloc(1, sizeof(*owner));

	nvme_fixture_start(&owner->f, &shape);
	while (input.at < input.end) {
		switch (take(&input, 1) % 7) {
		case 0:
		case 1:
			submit(owner, &input);
			break;
		case 2:
			poll_once(owner, (unsigned int)take(&input, 1) % 17);
			break;
		case 3: /* usually the right queue and a possible id */
			nvme_fixture_post(&owner->f, (uint16_t)take(&input, 1) % 17, 1,
					  (uint16_t)take(&input, 2), 0);
			break;
		case 4:
			scribble(owner, &input);
			break;
		case 5: /* an Abort is answered, or nothing is */
			nvme_fixture_post_admin(&owner->f, (uint16_t)take(&input, 1) % 6, 0, 0);
			break;
		default:
			weir_nvme_sweep(owner->f.qp, take(&input, 6));
			break;
		}
	}

	/* The end: whatever is left comes back, once. */
	pthread_mutex_lock(&owner->f.nvme->lock);
	nvme_fail(owner->f.nvme, &(struct weir_error){ .code = -ENODEV });
	pthread_mutex_unlock(&owner->f.nvme->lock);
	while (poll_once(owner, 16) >= 0)
		;
	nvme_fixture_stop(&owner->f);
	free(owner);
	return 0;
}
