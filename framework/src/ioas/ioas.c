/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ioas/ioas_private.h"

int ioas_new(unsigned int iova_bits, const struct weir_log *log, struct weir_ioas **ioas,
	     struct weir_error *err)
{
	struct weir_ioas *as;

	if (iova_bits < 32 || iova_bits > 64)
		return weir_error_set(err, -EINVAL, "iova_bits %u is out of 32 to 64", iova_bits);
	as = calloc(1, sizeof(*as));
	if (!as)
		return weir_error_set(err, -ENOMEM, "no memory for an IOAS");
	pthread_mutex_init(&as->setup, NULL);
	pthread_rwlock_init(&as->lock, NULL);
	for (unsigned int i = 0; i < IOAS_NR_SHARED; i++)
		pthread_mutex_init(&as->shared[i].lock, NULL);
	TAILQ_INIT(&as->mappings);
	TAILQ_INIT(&as->attachments);
	as->iova_bits = iova_bits;
	as->next_iova = WEIR_IOVA_WINDOW_BASE;
	as->log = *log;
	*ioas = as;
	return 0;
}

void ioas_free(struct weir_ioas *ioas)
{
	struct weir_mapping *mapping;

	while ((mapping = TAILQ_FIRST(&ioas->mappings))) {
		iova_remove(ioas, mapping);
		mapping_free(mapping);
	}
	for (unsigned int i = 0; i < IOAS_NR_SHARED; i++)
		pthread_mutex_destroy(&ioas->shared[i].lock);
	pthread_rwlock_destroy(&ioas->lock);
	pthread_mutex_destroy(&ioas->setup);
	free(ioas);
}

WEIR_EXPORT int weir_ioas_create(const struct weir_ioas_options *options, struct weir_ioas **ioas,
				 struct weir_error *err)
{
	struct weir_ioas_options ours = WEIR_IOAS_OPTIONS_INIT;
	int ret = weir_options_copy(&ours, sizeof(ours), options, "weir_ioas_options", err);

	if (ret)
		return ret;
	if (ours.reserved)
		return weir_error_set(err, -EINVAL, "weir_ioas_options.reserved is %u, not 0",
				      ours.reserved);
	return ioas_new(ours.iova_bits ? ours.iova_bits : 39, &ours.log, ioas, err);
}

WEIR_EXPORT int weir_ioas_destroy(struct weir_ioas *ioas)
{
	bool busy;

	if (!ioas)
		return 0;
	pthread_mutex_lock(&ioas->setup);
	busy = !TAILQ_EMPTY(&ioas->attachments);
	pthread_mutex_unlock(&ioas->setup);
	if (busy)
		return -EBUSY;
	ioas_free(ioas);
	return 0;
}

WEIR_EXPORT void weir_ioas_abandon(struct weir_ioas *ioas)
{
	/* Nothing is attached, so nobody is told of the end of the mappings. */
	if (ioas)
		ioas_free(ioas);
}

struct listing {
	struct weir_mapping_info *info;
	unsigned int max;
	unsigned int count;
};

static void list_one(const struct weir_mapping *mapping, void *ctx)
{
	struct listing *listing = ctx;
	struct weir_mapping_info *info;

	if (listing->count++ >= listing->max)
		return;
	info = &listing->info[listing->count - 1];
	memset(info, 0, sizeof(*info));
	info->iova = mapping->iova;
	info->bytes = mapping_bytes(mapping);
	info->prot = mapping->prot;
	info->state = weir_mapping_state(mapping);
	strncpy(info->kind, mapping_kind_name(mapping->kind), sizeof(info->kind) - 1);
}

WEIR_EXPORT unsigned int weir_ioas_list(struct weir_ioas *ioas, struct weir_mapping_info *info,
					unsigned int max)
{
	struct listing listing = { info, max, 0 };

	pthread_mutex_lock(&ioas->setup);
	iova_walk(ioas, list_one, &listing);
	pthread_mutex_unlock(&ioas->setup);
	return listing.count;
}

WEIR_EXPORT struct weir_mapping *weir_ioas_find_arena(struct weir_ioas *ioas,
						      const struct weir_arena *arena)
{
	uint64_t iova = weir_arena_iova(arena);
	struct weir_mapping *mapping;

	pthread_mutex_lock(&ioas->setup);
	mapping = iova_find(ioas, iova, iova);
	if (mapping && mapping->arena != arena)
		mapping = NULL;
	pthread_mutex_unlock(&ioas->setup);
	return mapping;
}

/* Counts a death that the fault guard noticed, once, and tells the devices. With lock held for
 * writing. */
static void note_death(struct weir_ioas *ioas, struct weir_mapping *mapping)
{
	struct ioas_attachment *attachment;

	if (mapping->died)
		return;
	mapping->died = ++ioas->deaths;
	TAILQ_FOREACH (attachment, &ioas->attachments, link) {
		if (!attachment->dropped)
			attachment->ops->mapping_died(attachment->backend);
	}
}

int ioas_access(struct weir_ioas *ioas, uint64_t iova, void *data, uint64_t bytes, bool write)
{
	uint32_t need = write ? WEIR_PROT_WRITE : WEIR_PROT_READ;
	struct weir_mapping *mapping;
	int ret = -EFAULT;
	bool died;

	if (!bytes)
		return 0;
	pthread_rwlock_rdlock(&ioas->lock);
	mapping = iova_find(ioas, iova, iova);
	if (!mapping || !(mapping->prot & need) || !mapping->addr ||
	    bytes - 1 > mapping->last - iova || weir_mapping_state(mapping) != WEIR_MAPPING_LIVE)
		goto unlock;
	if (write)
		memcpy(mapping->addr + (iova - mapping->iova), data, bytes);
	else
		memcpy(data, mapping->addr + (iova - mapping->iova), bytes);
	died = weir_mapping_state(mapping) != WEIR_MAPPING_LIVE;
	ret = died ? -EFAULT : 0;
	pthread_rwlock_unlock(&ioas->lock);
	if (!died)
		return ret;
	pthread_rwlock_wrlock(&ioas->lock);
	mapping = iova_find(ioas, iova, iova);
	if (mapping && weir_mapping_state(mapping) != WEIR_MAPPING_LIVE)
		note_death(ioas, mapping);
unlock:
	pthread_rwlock_unlock(&ioas->lock);
	return ret;
}

struct ioas_shared *ioas_shared(struct weir_ioas *ioas, enum ioas_shared_kind kind)
{
	return &ioas->shared[kind];
}

uint64_t ioas_deaths(struct weir_ioas *ioas)
{
	uint64_t deaths;

	pthread_rwlock_rdlock(&ioas->lock);
	deaths = ioas->deaths;
	pthread_rwlock_unlock(&ioas->lock);
	return deaths;
}

unsigned int ioas_take_dead(struct ioas_attachment *attachment, uint64_t *iovas, unsigned int max)
{
	return ioas_take_dead_since(attachment->ioas, &attachment->deaths_taken, iovas, max);
}

unsigned int ioas_take_dead_since(struct weir_ioas *ioas, uint64_t *taken, uint64_t *iovas,
				  unsigned int max)
{
	struct weir_mapping *mapping, *next;
	unsigned int count = 0;

	pthread_rwlock_rdlock(&ioas->lock);
	while (count < max && *taken < ioas->deaths) {
		next = NULL;
		TAILQ_FOREACH (mapping, &ioas->mappings, link) {
			if (mapping->died > *taken && (!next || mapping->died < next->died))
				next = mapping;
		}
		*taken = next ? next->died : ioas->deaths;
		if (next)
			iovas[count++] = next->iova;
	}
	pthread_rwlock_unlock(&ioas->lock);
	return count;
}
