/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* All names do not fit in an error's text: it lists those of the device, or those of the server. */
static int unknown_fault(const char *name, const struct sim_fault *faults, unsigned int nr,
			 struct weir_error *err)
{
	static const char server[] = "server-";
	bool ask_server = !strncmp(name, server, strlen(server));
	char known[WEIR_ERROR_TEXT] = "";
	size_t used = 0;

	for (unsigned int i = 0; i < nr && used < sizeof(known); i++) {
		if (ask_server == !strncmp(faults[i].name, server, strlen(server)))
			used += (size_t)snprintf(known + used, sizeof(known) - used, " %s",
						 faults[i].name);
	}
	return weir_error_set(err, -EINVAL, "fault \"%.40s\" is not one of%s%s", name, known,
			      ask_server ? "" : " server-*");
}

static int set_fault(const struct sim_fault *fault, const char *value, void *options,
		     struct weir_error *err)
{
	static const uint64_t limits[] = { 0, UINT16_MAX >> 1, UINT32_MAX, UINT64_MAX };
	void *member = (char *)options + fault->offset;
	unsigned long long number;
	char *end;

	if (fault->type == SIM_FAULT_FLAG) {
		if (value)
			return weir_error_set(err, -EINVAL, "fault %s takes no value", fault->name);
		*(bool *)member = true;
		return 0;
	}
	errno = 0;
	number = value ? strtoull(value, &end, 0) : 0;
	if (!value || *value < '0' || *value > '9' || *end || errno)
		return weir_error_set(err, -EINVAL, "fault %s=%s: the value is not a number",
				      fault->name, value ? value : "");
	if (number > limits[fault->type])
		return weir_error_set(err, -EINVAL, "fault %s=%s is over %llu", fault->name, value,
				      (unsigned long long)limits[fault->type]);
	if (fault->type == SIM_FAULT_U15)
		*(uint16_t *)member = (uint16_t)number;
	else if (fault->type == SIM_FAULT_U32)
		*(uint32_t *)member = (uint32_t)number;
	else
		*(uint64_t *)member = number;
	return 0;
}

/* One NAME[=VALUE], which is changed. */
static int parse_one(char *text, const struct sim_fault *faults, unsigned int nr, void *options,
		     struct weir_error *err)
{
	char *value = strchr(text, '=');

	if (value)
		*value++ = '\0';
	for (unsigned int i = 0; i < nr; i++) {
		if (!strcmp(text, faults[i].name))
			return set_fault(&faults[i], value, options, err);
	}
	if (value)
		value[-1] = '=';
	return unknown_fault(text, faults, nr, err);
}

int sim_faults_parse(const char *spec, const struct sim_fault *faults, unsigned int nr,
		     void *options, struct weir_error *err)
{
	char *copy = strdup(spec), *rest = copy, *one;
	int error = 0;

	if (!copy)
		return weir_error_set(err, -ENOMEM, "no memory for a list of faults");
	while (!error && (one = strsep(&rest, ",")))
		error = parse_one(one, faults, nr, options, err);
	free(copy);
	return error;
}
