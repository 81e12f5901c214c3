/* SPDX-License-Identifier: BSD-3-Clause */
/* weir doctor: prints the findings. */
#include "commands.h"
#include "doctor.h"
#include "fail.h"
#include "output.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct doctor_config {
	const char *root;
	bool json;
};

static const struct doctor_config defaults = { .root = "" };

static const struct cli_option options[] = {
	{ "json", CLI_FLAG, offsetof(struct doctor_config, json),
	  .help = "print {\"findings\": [{id, severity, blocks, text, fix}]}" },
	{ "root", CLI_TEXT, offsetof(struct doctor_config, root), .argument = "DIR",
	  .help = "look below DIR", .hidden = true },
	{ NULL },
};

static uint64_t soft_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

/* The effective and supplementary groups, to be freed. */
static gid_t *own_groups(unsigned int *nr)
{
	int room = getgroups(0, NULL);
	gid_t *groups = calloc(room > 0 ? (size_t)room + 1 : 1, sizeof(gid_t));
	int found;

	*nr = 0;
	if (!groups)
		return NULL;
	groups[(*nr)++] = getegid();
	found = room > 0 ? getgroups(room, groups + 1) : 0;
	if (found > 0)
		*nr += (unsigned int)found;
	return groups;
}

static void print_findings(const json_t *findings)
{
	unsigned int problems = 0, notes = 0;
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
	{
		const char *severity = json_string_value(json_object_get(finding, "severity"));
		const char *fix = json_string_value(json_object_get(finding, "fix"));

		problems += !strcmp(severity, "problem");
		notes += !strcmp(severity, "note");
		printf("%-8s %s\n", severity, json_string_value(json_object_get(finding, "text")));
		if (*fix)
			printf("         fix: %s\n", fix);
	}
	printf("%u problem%s, %u note%s\n", problems, problems == 1 ? "" : "s", notes,
	       notes == 1 ? "" : "s");
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct doctor_config *config = arg;
	struct passwd *user = getpwuid(geteuid());
	struct doctor doctor = {
		.root = config->root,
		.user = user ? user->pw_name : "this user",
		.uid = geteuid(),
		.memlock = soft_limit(RLIMIT_MEMLOCK),
		.nofile = soft_limit(RLIMIT_NOFILE),
		.findings = json_array(),
	};
	gid_t *groups = own_groups(&doctor.nr_groups);
	int rc = 0;

	(void)operands;
	if (!doctor.findings || !groups) {
		json_decref(doctor.findings);
		free(groups);
		return fail(err, -ENOMEM, "no memory for the findings");
	}
	doctor.groups = groups;
	doctor_run(&doctor);
	free(groups);
	if (config->json) {
		rc = output_json(json_pack("{s:o}", "findings", doctor.findings), err);
	} else {
		print_findings(doctor.findings);
		json_decref(doctor.findings);
	}
	if (!rc && doctor.worst == DOCTOR_BLOCKS_ALL)
		rc = fail(err, -EIO,
			  "not even emulated devices can work here; see the problems "
			  "above");
	return rc;
}

const struct cli_command command_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "Say what on this machine stands in the way of devices, and the command that "
		   "removes it.",
	.examples =
		"  weir doctor\n"
		"  weir doctor --json | jq -r '.findings[] | select(.severity == \"problem\") | "
		".fix'\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
