/* SPDX-License-Identifier: BSD-3-Clause */
#include "parse.h"
#include "fail.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int check_limits(const char *what, uint64_t value, uint64_t min, uint64_t max,
			const char *unit, struct weir_error *err)
{
	if (value < min)
		return fail(err, -EINVAL, "%s %" PRIu64 " is under the minimum of %" PRIu64 "%s",
			    what, value, min, unit);
	if (value > max)
		return fail(err, -EINVAL, "%s %" PRIu64 " is over the limit of %" PRIu64 "%s", what,
			    value, max, unit);
	return 0;
}

/* The digits at the front of a text. -EINVAL: there are none; -ERANGE: more than 64 bits. */
static int leading_number(const char *text, uint64_t *value, const char **end)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? text + 2 : text;
	char *after;

	/* strtoull() would skip blanks and take a sign. */
	if (!(base == 16 ? isxdigit((unsigned char)*digits) : isdigit((unsigned char)*digits)))
		return -EINVAL;
	errno = 0;
	*value = strtoull(digits, &after, base);
	*end = after;
	return errno ? -ERANGE : 0;
}

int parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *value,
		 struct weir_error *err)
{
	const char *end;
	uint64_t number;
	int rc;

	rc = leading_number(text, &number, &end);
	if (rc == -ERANGE)
		return fail(err, -EINVAL, "%s %s is over the limit of %" PRIu64, what, text, max);
	if (rc || *end)
		return fail(err, -EINVAL, "%s '%s' is not a number such as 17 or 0x11", what, text);
	rc = check_limits(what, number, min, max, "", err);
	if (!rc)
		*value = number;
	return rc;
}

/* How far a unit shifts, or -1. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *letter;

	if (!*unit || !strcmp(unit, "B"))
		return 0;
	letter = strchr(letters, toupper((unsigned char)*unit));
	if (!letter || (unit[1] && strcasecmp(unit + 1, "iB")))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

int parse_bytes(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *value,
		struct weir_error *err)
{
	const char *end = "";
	uint64_t number = 0;
	int shift, rc;

	rc = leading_number(text, &number, &end);
	shift = rc ? 0 : unit_shift(end);
	if (rc == -EINVAL || shift < 0)
		return fail(err, -EINVAL, "%s '%s' is not a size such as 4096, 0x1000, 4K or 1G",
			    what, text);
	if (rc || number > UINT64_MAX >> shift)
		return fail(err, -EINVAL, "%s %s is over the limit of %" PRIu64 " bytes", what,
			    text, max);
	rc = check_limits(what, number << shift, min, max, " bytes", err);
	if (!rc)
		*value = number << shift;
	return rc;
}

int parse_seconds(const char *what, const char *text, uint64_t min_ms, uint64_t max_ms,
		  uint64_t *ms, struct weir_error *err)
{
	uint64_t value, scale = 1000;
	const char *end;
	int rc;

	rc = leading_number(text, &value, &end);
	if (rc == -ERANGE || (!rc && value > max_ms / 1000))
		return fail(err, -EINVAL, "%s %s is over the limit of %" PRIu64 " seconds", what,
			    text, max_ms / 1000);
	if (rc || !strncasecmp(text, "0x", 2))
		goto malformed;
	value *= 1000;
	if (*end == '.' && !isdigit((unsigned char)*++end))
		goto malformed;
	for (; isdigit((unsigned char)*end); end++) {
		scale /= 10;
		value += scale * (uint64_t)(*end - '0');
	}
	if (*end)
		goto malformed;
	if (value < min_ms || value > max_ms)
		return fail(err, -EINVAL,
			    "%s %s is outside the limits of %" PRIu64 ".%03" PRIu64 " to %" PRIu64
			    " seconds",
			    what, text, min_ms / 1000, min_ms % 1000, max_ms / 1000);
	*ms = value;
	return 0;

malformed:
	return fail(err, -EINVAL, "%s '%s' is not a time in seconds such as 10 or 0.5", what, text);
}

int parse_choice(const char *what, const char *text, const char *const *choices,
		 unsigned int *index, struct weir_error *err)
{
	char known[WEIR_ERROR_TEXT / 2] = "";

	for (unsigned int i = 0; choices[i]; i++) {
		if (!strcmp(text, choices[i])) {
			*index = i;
			return 0;
		}
		if (i)
			strncat(known, ", ", sizeof(known) - strlen(known) - 1);
		strncat(known, choices[i], sizeof(known) - strlen(known) - 1);
	}
	return fail(err, -EINVAL, "%s '%s' is not one of %s", what, text, known);
}

/* Adds first to last, which are below PARSE_MAX_CPUS. */
static int add_cpus(const char *what, struct cpu_list *list, uint64_t first, uint64_t last,
		    struct weir_error *err)
{
	for (uint64_t cpu = first; cpu <= last; cpu++) {
		if (list->nr == PARSE_MAX_CPUS)
			return fail(err, -EINVAL, "%s names more than %d CPUs", what,
				    PARSE_MAX_CPUS);
		list->cpus[list->nr++] = (unsigned int)cpu;
	}
	return 0;
}

int parse_cpus(const char *what, const char *text, struct cpu_list *list, struct weir_error *err)
{
	const char *at = text;
	uint64_t first, last;
	int rc;

	list->nr = 0;
	for (;; at++) {
		if (leading_number(at, &first, &at))
			goto malformed;
		last = first;
		if (*at == '-' && leading_number(at + 1, &last, &at))
			goto malformed;
		if (last < first || (*at && *at != ','))
			goto malformed;
		rc = check_limits(what, last, 0, PARSE_MAX_CPUS - 1, "", err);
		if (!rc)
			rc = add_cpus(what, list, first, last, err);
		if (rc || !*at)
			return rc;
	}

malformed:
	return fail(err, -EINVAL, "%s '%s' is not a list of CPUs such as 0,2-5", what, text);
}
