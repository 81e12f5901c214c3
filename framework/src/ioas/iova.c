/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which addresses are taken: a search tree in which overlapping ranges compare equal, so that a
 * lookup of any address finds the mapping that holds it, and an insertion finds what is in its way.
 */
#include <inttypes.h>
#include <search.h>

#include "ioas/ioas_private.h"

static int compare(const void *a, const void *b)
{
	const struct weir_mapping *one = a, *two = b;

	if (one->last < two->iova)
		return -1;
	return one->iova > two->last;
}

struct weir_mapping *iova_find(const struct weir_ioas *ioas, uint64_t iova, uint64_t last)
{
	const struct weir_mapping key = { .iova = iova, .last = last };
	void *node = tfind(&key, &ioas->tree, compare);

	return node ? *(struct weir_mapping **)node : NULL;
}

int iova_check(const struct weir_ioas *ioas, uint64_t iova, uint64_t bytes, struct weir_error *err)
{
	uint64_t last = ioas->iova_bits == 64 ? UINT64_MAX : (UINT64_C(1) << ioas->iova_bits) - 1;

	if (iova > last || bytes - 1 > last - iova)
		return weir_error_set(err, -ERANGE,
				      "0x%" PRIx64 " to 0x%" PRIx64
				      " is beyond the IOAS's %u bits, 0x0 to 0x%" PRIx64,
				      iova, iova + bytes - 1, ioas->iova_bits, last);
	return 0;
}

int iova_insert(struct weir_ioas *ioas, struct weir_mapping *mapping, struct weir_error *err)
{
	const struct weir_mapping *there;
	void *node;

	pthread_rwlock_wrlock(&ioas->lock);
	node = tsearch(mapping, &ioas->tree, compare);
	there = node ? *(struct weir_mapping **)node : NULL;
	if (there == mapping) {
		TAILQ_INSERT_TAIL(&ioas->mappings, mapping, link);
		ioas->nr_mappings++;
	}
	pthread_rwlock_unlock(&ioas->lock);

	if (!there)
		return weir_error_set(err, -ENOMEM, "no memory for a mapping");
	if (there != mapping)
		return weir_error_set(err, -EEXIST,
				      "0x%" PRIx64 " to 0x%" PRIx64
				      " overlaps the %s mapping at 0x%" PRIx64 " to 0x%" PRIx64,
				      mapping->iova, mapping->last, mapping_kind_name(there->kind),
				      there->iova, there->last);
	return 0;
}

void iova_remove(struct weir_ioas *ioas, struct weir_mapping *mapping)
{
	pthread_rwlock_wrlock(&ioas->lock);
	tdelete(mapping, &ioas->tree, compare);
	TAILQ_REMOVE(&ioas->mappings, mapping, link);
	ioas->nr_mappings--;
	pthread_rwlock_unlock(&ioas->lock);
}

/* Moves *iova up to where [*iova, *iova + bytes) lies in one range of every attachment. false:
 * nowhere. */
static bool move_into_ranges(const struct weir_ioas *ioas, uint64_t bytes, uint64_t align,
			     uint64_t *iova)
{
	const struct ioas_attachment *attachment;
	bool moved;

	do {
		moved = false;
		TAILQ_FOREACH (attachment, &ioas->attachments, link) {
			const struct ioas_limits *limits = &attachment->limits;
			unsigned int i = 0;

			if (attachment->dropped)
				continue;
			while (i < limits->nr_ranges &&
			       (limits->ranges[i].last < *iova ||
				bytes - 1 > limits->ranges[i].last - *iova))
				i++;
			if (i == limits->nr_ranges ||
			    limits->ranges[i].first >= WEIR_IOVA_WINDOW_END)
				return false;
			if (limits->ranges[i].first > *iova) {
				*iova = weir_align_up(limits->ranges[i].first, align);
				moved = true;
			}
		}
	} while (moved && *iova < WEIR_IOVA_WINDOW_END);
	return *iova < WEIR_IOVA_WINDOW_END;
}

/* First fit in [from, end). */
static bool search(const struct weir_ioas *ioas, uint64_t from, uint64_t end, uint64_t bytes,
		   uint64_t align, uint64_t *found)
{
	uint64_t iova = weir_align_up(from, align);
	const struct weir_mapping *there;

	for (;;) {
		if (!move_into_ranges(ioas, bytes, align, &iova))
			return false;
		if (iova >= end || bytes > end - iova)
			return false;
		there = iova_find(ioas, iova, iova + bytes - 1);
		if (!there) {
			*found = iova;
			return true;
		}
		if (there->last >= end - 1)
			return false;
		iova = weir_align_up(there->last + 1, align);
	}
}

/*
 * The search goes on behind the last address given, so that it costs a lookup or two, however many
 * mappings there are, and addresses that were given back are not reused at once.
 */
int iova_alloc(struct weir_ioas *ioas, uint64_t bytes, uint64_t *iova, struct weir_error *err)
{
	uint64_t end = WEIR_IOVA_WINDOW_END;
	uint64_t align = IOAS_PAGE;

	/* Large ranges begin where an IOMMU can use its large pages. */
	if (bytes >= UINT64_C(1) << 30)
		align = UINT64_C(1) << 30;
	else if (bytes >= UINT64_C(1) << 21)
		align = UINT64_C(1) << 21;
	if (ioas->iova_bits < 39)
		end = UINT64_C(1) << ioas->iova_bits;
	if (!search(ioas, ioas->next_iova, end, bytes, align, iova) &&
	    !search(ioas, WEIR_IOVA_WINDOW_BASE, end, bytes, align, iova))
		return weir_error_set(err, -ENOSPC,
				      "no free range of 0x%" PRIx64 " bytes in 0x%" PRIx64
				      " to 0x%" PRIx64,
				      bytes, WEIR_IOVA_WINDOW_BASE, end - 1);
	ioas->next_iova = *iova + bytes;
	return 0;
}

struct walk {
	void (*visit)(const struct weir_mapping *mapping, void *ctx);
	void *ctx;
};

static void visit_node(const void *node, VISIT order, void *closure)
{
	const struct walk *walk = closure;

	if (order == postorder || order == leaf)
		walk->visit(*(struct weir_mapping *const *)node, walk->ctx);
}

void iova_walk(const struct weir_ioas *ioas,
	       void (*visit)(const struct weir_mapping *mapping, void *ctx), void *ctx)
{
	struct walk walk = { visit, ctx };

	twalk_r(ioas->tree, visit_node, &walk);
}
