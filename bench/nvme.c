/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * 4 KiB reads of an emulated null device in another process, at a depth. What it measures is mostly
 * how fast two cores pass queue entries (see queue_limit.c); no data moves.
 */
#include "benchmarks.h"

#include <weir/nvme.h>

#include "device.h"

#define MAX_DEPTH 128

/* Keeps `depth` reads in flight until the harness has enough. */
static void read_loop(struct bench_state *state, struct weir_nvme *nvme, struct weir_nvme_qp *qp)
{
	unsigned int depth = (unsigned int)bench_arg(state), inflight = 0, credit = 0;
	struct weir_nvme_ns *ns = weir_nvme_ns(nvme, 1);
	struct weir_nvme_done done[MAX_DEPTH];
	struct weir_nvme_io ios[MAX_DEPTH];

	for (unsigned int i = 0; i < depth; i++)
		ios[i] = (struct weir_nvme_io){
			.opcode = WEIR_NVME_READ,
			.blocks = 8,
			.lba = i * UINT64_C(8),
			.data = weir_arena_iova(weir_nvme_arena(nvme)),
		};
	for (; bench_next(state); credit--) {
		while (!credit) {
			int n = weir_nvme_submit(qp, ns, ios, depth - inflight);

			if (n >= 0) {
				inflight += (unsigned int)n;
				n = weir_nvme_poll(qp, done, MAX_DEPTH);
			}
			if (n < 0) {
				bench_fail(state, "the queue is dead");
				return;
			}
			for (int i = 0; i < n; i++) {
				if (!weir_nvme_ok(&done[i])) {
					bench_fail(state, "a read failed");
					return;
				}
			}
			inflight -= (unsigned int)n;
			credit = (unsigned int)n;
		}
	}
}

void bench_nvme_read(struct bench_state *state)
{
	struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
	struct weir_nvme_qp *qp;
	struct bench_device *device;
	struct weir_nvme *nvme;
	struct weir_error err;

	options.backing = SIM_NVME_NULL;
	if (!bench_pin(1)) {
		bench_fail(state, "this needs cores 0 and 1");
		return;
	}
	if (bench_device_start(&options, 0, &device, &err)) {
		bench_fail(state, err.text);
		return;
	}
	if (weir_nvme_open(bench_device_address(device), NULL, &nvme, &err)) {
		bench_fail(state, err.text);
		bench_device_stop(device);
		return;
	}
	if (weir_nvme_qp_create(nvme, NULL, &qp, &err))
		bench_fail(state, err.text);
	else
		read_loop(state, nvme, qp);
	weir_nvme_close(nvme);
	bench_device_stop(device);
}
