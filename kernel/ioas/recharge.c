// SPDX-License-Identifier: GPL-2.0-only
/* Another process is charged for what address spaces have mapped. */
#include <linux/lockdep.h>

#include "ioas/pages.h"

/* Whether all areas are of files. [5] is held for writing. */
static bool is_of_files(struct weir_ioas *ioas)
{
	struct weir_area *area;

	weir_for_each_area(area, ioas, 0, ULONG_MAX)
		if (!weir_source_file_pages(area->source))
			return false;
	return true;
}

/* [5] is held for writing. */
static int charge_all(struct weir_ioas *ioas)
{
	struct weir_area *area;
	int rc;

	weir_for_each_area(area, ioas, 0, ULONG_MAX) {
		rc = weir_pages_charge_caller(weir_source_file_pages(area->source));
		if (rc)
			return rc;
	}
	return 0;
}

/* [5] is held for writing. */
static void settle_all(struct weir_ioas *ioas, bool keep_new)
{
	struct weir_area *area;

	weir_for_each_area(area, ioas, 0, ULONG_MAX)
		weir_pages_charge_settle(weir_source_file_pages(area->source), keep_new);
}

/* All [5] are held for writing, so that no area is busy. */
static int recharge(struct weir_ioas **list, unsigned int count)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < count; i++)
		if (!is_of_files(list[i]))
			return -EINVAL;
	for (i = 0; i < count && !rc; i++)
		rc = charge_all(list[i]);
	for (i = 0; i < count; i++)
		settle_all(list[i], !rc);
	return rc;
}

int weir_ioas_charge_caller(struct weir_ioas **list, unsigned int count, struct mutex *outer)
{
	unsigned int i;
	int rc;

	lockdep_assert_held(outer);
	for (i = 0; i < count; i++)
		down_write_nest_lock(&list[i]->domains_lock, outer);
	rc = recharge(list, count);
	for (i = count; i > 0; i--)
		up_write(&list[i - 1]->domains_lock);
	return rc;
}
