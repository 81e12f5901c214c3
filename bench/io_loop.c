/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io_loop ADDRESS IOS: 4 KiB reads, 32 in flight. A write to a descriptor that is not there marks
 * the first and the end, for no_syscalls.sh to find in what strace saw.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/nvme.h>

#define DEPTH 32u

static void mark(const char *text)
{
	ssize_t written = write(-1, text, strlen(text));

	(void)written; /* it fails */
}

/* How many I/Os succeeded. */
static unsigned long read_ios(struct weir_nvme *nvme, struct weir_nvme_qp *qp, unsigned long ios)
{
	struct weir_nvme_ns *ns = weir_nvme_ns(nvme, 1);
	unsigned long started = 0, ended = 0, good = 0;
	struct weir_nvme_done done[DEPTH];
	struct weir_nvme_io burst[DEPTH];

	for (unsigned int i = 0; i < DEPTH; i++)
		burst[i] = (struct weir_nvme_io){
			.opcode = WEIR_NVME_READ,
			.blocks = 8,
			.lba = i * UINT64_C(8),
			.data = weir_arena_iova(weir_nvme_arena(nvme)),
		};
	while (ended < ios) {
		unsigned long room = DEPTH - (started - ended);
		int n;

		if (room > ios - started)
			room = ios - started;
		n = weir_nvme_submit(qp, ns, burst, (unsigned int)room);
		if (n < 0)
			break;
		started += (unsigned int)n;
		n = weir_nvme_poll(qp, done, DEPTH);
		if (n < 0)
			break;
		for (int i = 0; i < n; i++)
			good += weir_nvme_ok(&done[i]);
		ended += (unsigned int)n;
	}
	return good;
}

int main(int argc, char **argv)
{
	unsigned long ios = argc == 3 ? strtoul(argv[2], NULL, 10) : 0, good = 0;
	struct weir_nvme *nvme = NULL;
	struct weir_nvme_qp *qp;
	struct weir_error err;

	if (!ios) {
		fprintf(stderr, "Usage: io_loop ADDRESS IOS\n");
		return 2;
	}
	if (weir_nvme_open(argv[1], NULL, &nvme, &err) ||
	    weir_nvme_qp_create(nvme, NULL, &qp, &err)) {
		fprintf(stderr, "io_loop: %s\n", err.text);
		weir_nvme_close(nvme);
		return 1;
	}
	read_ios(nvme, qp, DEPTH); /* resolves symbols */
	mark("first");
	good = read_ios(nvme, qp, ios);
	mark("end");
	printf("%lu of %lu I/Os succeeded\n", good, ios);
	weir_nvme_close(nvme);
	return good == ios ? 0 : 1;
}
