/* SPDX-License-Identifier: BSD-3-Clause */
#include "ceilings.h"

#include <stdio.h>
#include <string.h>

double ceilings_find(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	double ceiling = -1, value;
	char line[256], key[64];

	if (!file)
		return ceiling;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %lf", key, &value) == 2 && !strcmp(key, name))
			ceiling = value;
	}
	fclose(file);
	return ceiling;
}

bool ceilings_write(json_t *rows, const char *path)
{
	bool ok = !path || !json_dump_file(rows, path, JSON_INDENT(1) | JSON_REAL_PRECISION(5));

	if (!ok)
		fprintf(stderr, "cannot write %s\n", path);
	json_decref(rows);
	return ok;
}
