/* SPDX-License-Identifier: BSD-3-Clause */
/* weir doctor: prints the findings, and mends what can be mended. */
#include "commands.h"
#include "doctor.h"
#include "fail.h"
#include "output.h"
#include "pci_function.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Mending one thing can bring the next to light: a device is bound, then its node is shut. */
#define MAX_ROUNDS 4

struct doctor_config {
	const char *root;
	const char *user;
	bool json;
	bool fix;
};

static const struct doctor_config defaults = { .root = "" };

static const struct cli_option options[] = {
	{ "fix", CLI_FLAG, offsetof(struct doctor_config, fix),
	  .help = "run the fixes, as root, and say what is left" },
	{ "user", CLI_TEXT, offsetof(struct doctor_config, user), .argument = "NAME",
	  .help = "whose rights and limits count (default: who runs it)" },
	{ "json", CLI_FLAG, offsetof(struct doctor_config, json),
	  .help = "print {\"findings\": [{id, severity, blocks, text, fix}], \"fixed\": [{id, fix, "
		  "status}]}" },
	{ "root", CLI_TEXT, offsetof(struct doctor_config, root), .argument = "DIR",
	  .help = "look below DIR", .hidden = true },
	{ NULL },
};

static uint64_t open_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
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

static void print_fixed(const json_t *fixed)
{
	const json_t *each;
	size_t i;

	json_array_foreach(fixed, i, each)
	{
		json_int_t status = json_integer_value(json_object_get(each, "status"));

		printf("%-8s %s: %s\n", status ? "FAILED" : "fixed",
		       json_string_value(json_object_get(each, "id")),
		       json_string_value(json_object_get(each, "fix")));
	}
}

/* The findings about the operands, or about the machine without one. */
static void examine(struct doctor *doctor, char *const *operands)
{
	char address[PCI_ADDRESS_BYTES];

	json_array_clear(doctor->findings);
	doctor->worst = DOCTOR_BLOCKS_NOTHING;
	if (*operands && pci_parse_address(*operands, address))
		doctor_run_device(doctor, address);
	else
		doctor_run(doctor);
}

static int mend(struct doctor *doctor, char *const *operands, json_t *fixed, struct weir_error *err)
{
	const json_t *each;
	size_t before, i;

	if (*doctor->root || geteuid())
		return fail(err, -EPERM,
			    "only root may run the fixes; 'sudo weir doctor --fix "
			    "--user %s' is for the user that runs this",
			    doctor->who->name);
	for (unsigned int round = 0; round < MAX_ROUNDS; round++) {
		before = json_array_size(fixed);
		doctor_fix(doctor->findings, fixed);
		examine(doctor, operands);
		if (json_array_size(fixed) == before)
			break;
	}
	json_array_foreach(fixed, i, each)
	{
		if (json_integer_value(json_object_get(each, "status")))
			return fail(err, -EIO, "the fix of %s failed",
				    json_string_value(json_object_get(each, "id")));
	}
	return 0;
}

static int print(const struct doctor_config *config, const struct doctor *doctor,
		 const json_t *fixed, struct weir_error *err)
{
	if (config->json)
		return output_json(
			json_pack("{s:O, s:O}", "findings", doctor->findings, "fixed", fixed), err);
	print_fixed(fixed);
	print_findings(doctor->findings);
	return 0;
}

static int check_operand(char *const *operands, struct weir_error *err)
{
	char address[PCI_ADDRESS_BYTES];

	if (*operands && !pci_parse_address(*operands, address))
		return fail(err, CLI_USAGE,
			    "'%s' is no PCI address, such as 0000:3b:00.0; 'weir ls' lists them",
			    *operands);
	return 0;
}

static int diagnose(const struct doctor_config *config, struct doctor *doctor,
		    char *const *operands, struct weir_error *err)
{
	json_t *fixed = json_array();
	int rc = 0, print_rc;

	if (!fixed)
		return fail(err, -ENOMEM, "no memory for the findings");
	examine(doctor, operands);
	if (config->fix)
		rc = mend(doctor, operands, fixed, err);
	print_rc = print(config, doctor, fixed, rc ? NULL : err);
	json_decref(fixed);
	if (!rc)
		rc = print_rc;
	if (!rc && doctor->worst == DOCTOR_BLOCKS_ALL)
		rc = fail(err, -EIO,
			  "not even emulated devices can work here; see the problems above");
	if (!rc && *operands && doctor->worst != DOCTOR_BLOCKS_NOTHING)
		rc = fail(err, -EIO, "%s cannot be opened; see the problems above", *operands);
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct doctor_config *config = arg;
	struct doctor doctor = { .root = config->root, .nofile = open_file_limit() };
	struct who who;
	int rc;

	rc = check_operand(operands, err);
	if (!rc)
		rc = config->user ? who_named(&who, config->user, err) : who_self(&who, err);
	if (rc)
		return rc;
	doctor.who = &who;
	doctor.findings = json_array();
	if (doctor.findings)
		rc = diagnose(config, &doctor, operands, err);
	else
		rc = fail(err, -ENOMEM, "no memory for the findings");
	json_decref(doctor.findings);
	who_end(&who);
	return rc;
}

const struct cli_command command_doctor = {
	.name = "doctor",
	.operands = "[DEV]",
	.max_operands = 1,
	.summary = "Say what on this machine, or in the way of one device, keeps devices from "
		   "working, and the command that mends it.",
	.examples =
		"  weir doctor\n"
		"  weir doctor 0000:3b:00.0\n"
		"  sudo weir doctor --fix --user ann\n"
		"  weir doctor --json | jq -r '.findings[] | select(.severity == \"problem\") | "
		".fix'\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
