/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <weir/nvme.h>

int main(int argc, char **argv)
{
	static unsigned char block[4096];
	struct weir_nvme *nvme = NULL;
	struct weir_error err;
	int rc = weir_nvme_open(argc > 1 ? argv[1] : "", NULL, &nvme, &err);

	if (!rc)
		rc = weir_nvme_read(nvme, 1, 0, block, sizeof(block), &err);
	if (!rc)
		fwrite(block, sizeof(block), 1, stdout);
	else
		fprintf(stderr, "read_block: %s\n", err.text);
	weir_nvme_close(nvme);
	return rc != 0;
}
