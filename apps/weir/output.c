/* SPDX-License-Identifier: BSD-3-Clause */
#include "output.h"
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

int output_json(json_t *value, struct weir_error *err)
{
	int rc;

	if (!value)
		return fail(err, -ENOMEM, "no memory for the output");
	rc = json_dumpf(value, stdout, JSON_INDENT(2));
	json_decref(value);
	if (rc || putchar('\n') == EOF)
		return fail(err, -EIO, "cannot write to standard output");
	return 0;
}

const char *output_bytes(uint64_t bytes, char *text, size_t room)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	unsigned int unit = 0;

	if (bytes < 1024) {
		snprintf(text, room, "%" PRIu64 " B", bytes);
		return text;
	}
	while (value >= 1023.95 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		value /= 1024;
		unit++;
	}
	snprintf(text, room, "%.1f %s", value, units[unit]);
	return text;
}
