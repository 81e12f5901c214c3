/* SPDX-License-Identifier: BSD-3-Clause */
/* An IOAS for a successor: its list of mappings and their descriptors. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/state.h"
#include "ioas/ioas_private.h"

#define IOAS_RECORD STATE_TYPE('I', 'O', 'A', 'S')
#define IOAS_RECORD_VERSION 1

struct saved_mapping {
	uint64_t iova;
	uint64_t bytes;
	uint64_t offset;
	uint32_t kind; /* enum mapping_kind; those with a file of their own have a descriptor */
	uint32_t prot;
	uint32_t dead;
	uint32_t reserved;
};

struct saved_ioas {
	uint32_t iova_bits;
	uint32_t nr_mappings;
	uint64_t next_iova;
	struct saved_mapping mappings[];
};

static int save_mappings(struct weir_ioas *ioas, struct saved_ioas *saved, int *fds,
			 unsigned int *nr_fds, struct weir_error *err)
{
	const struct weir_mapping *mapping;

	TAILQ_FOREACH (mapping, &ioas->mappings, link) {
		if (mapping->kind == MAPPING_USER)
			return weir_error_set(err, -EOPNOTSUPP,
					      "the user mapping at 0x%" PRIx64
					      " has no file descriptor to hand over",
					      mapping->iova);
		if (mapping->kind != MAPPING_ARENA) {
			if (*nr_fds == WEIR_STATE_MAX_FDS)
				return weir_error_set(err, -E2BIG,
						      "more than %u mappings have descriptors",
						      WEIR_STATE_MAX_FDS);
			fds[(*nr_fds)++] = mapping->fd;
		}
		saved->mappings[saved->nr_mappings++] = (struct saved_mapping){
			.iova = mapping->iova,
			.bytes = mapping_bytes(mapping),
			.offset = mapping->offset,
			.kind = mapping->kind,
			.prot = mapping->prot,
			.dead = weir_mapping_state(mapping),
		};
	}
	return 0;
}

WEIR_EXPORT int weir_ioas_save(struct weir_ioas *ioas, struct weir_state *state,
			       struct weir_error *err)
{
	struct saved_ioas *saved;
	int fds[WEIR_STATE_MAX_FDS];
	unsigned int nr_fds = 0;
	size_t bytes;
	int ret;

	pthread_mutex_lock(&ioas->setup);
	bytes = sizeof(*saved) + ioas->nr_mappings * sizeof(saved->mappings[0]);
	saved = calloc(1, bytes);
	if (!saved) {
		ret = weir_error_set(err, -ENOMEM, "no memory to save an IOAS");
		goto unlock;
	}
	saved->iova_bits = ioas->iova_bits;
	saved->next_iova = ioas->next_iova;
	ret = save_mappings(ioas, saved, fds, &nr_fds, err);
	if (!ret)
		ret = weir_state_put(state, IOAS_RECORD, IOAS_RECORD_VERSION, saved, bytes, fds,
				     nr_fds, err);
	free(saved);
unlock:
	pthread_mutex_unlock(&ioas->setup);
	return ret;
}

static int adopt_arena(struct weir_mapping *mapping, struct weir_arena *const *arenas,
		       unsigned int nr_arenas, struct weir_error *err)
{
	for (unsigned int i = 0; i < nr_arenas; i++) {
		if (weir_arena_iova(arenas[i]) != mapping->iova ||
		    weir_arena_bytes(arenas[i]) != mapping_bytes(mapping))
			continue;
		mapping->arena = arenas[i];
		mapping->addr = weir_arena_base(arenas[i]);
		mapping->delta = mapping->iova - (uintptr_t)mapping->addr;
		mapping->fd = weir_arena_fd(arenas[i]);
		return 0;
	}
	return weir_error_set(err, -EINVAL,
			      "no arena given is the one at IOVA 0x%" PRIx64 ", 0x%" PRIx64
			      " bytes",
			      mapping->iova, mapping_bytes(mapping));
}

static int check_saved(const struct weir_ioas *ioas, const struct saved_mapping *saved,
		       struct weir_error *err)
{
	if (!saved->bytes ||
	    !weir_is_aligned(saved->iova | saved->bytes | saved->offset, IOAS_PAGE) ||
	    saved->bytes > UINT64_MAX - saved->offset ||
	    (saved->kind != MAPPING_ARENA && saved->kind != MAPPING_FD &&
	     saved->kind != MAPPING_DMABUF) ||
	    saved->prot < WEIR_PROT_READ || saved->prot > WEIR_PROT_RW || saved->dead > 1)
		return weir_error_set(err, -EINVAL, "the saved mapping at 0x%" PRIx64 " is damaged",
				      saved->iova);
	return iova_check(ioas, saved->iova, saved->bytes, err) ? -EINVAL : 0;
}

/* Of a dead mapping only the descriptor is kept: its file may be of no use any more. */
static int adopt_file(struct weir_mapping *mapping, const struct saved_mapping *saved, int fd,
		      struct weir_error *err)
{
	int ret;

	if (!saved->dead)
		return mapping_open_file(mapping, fd, saved->offset, saved->bytes, err);
	mapping->offset = saved->offset;
	mapping->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (mapping->fd >= 0)
		return 0;
	ret = -errno;
	return weir_error_set(err, ret, "cannot duplicate descriptor %d: %s", fd, strerror(-ret));
}

/* Makes one mapping again; *fds moves on past the descriptor that it used. */
static int adopt_mapping(struct weir_ioas *ioas, const struct saved_mapping *saved,
			 struct weir_arena *const *arenas, unsigned int nr_arenas, const int **fds,
			 const int *fds_end, struct weir_error *err)
{
	struct weir_mapping *mapping;
	int ret = check_saved(ioas, saved, err);

	if (ret)
		return ret;
	mapping = calloc(1, sizeof(*mapping));
	if (!mapping)
		return weir_error_set(err, -ENOMEM, "no memory for a mapping");
	mapping->iova = saved->iova;
	mapping->last = saved->iova + saved->bytes - 1;
	mapping->kind = saved->kind;
	mapping->prot = saved->prot;
	mapping->fd = -1;
	atomic_init(&mapping->gone, (int)saved->dead);
	if (saved->kind == MAPPING_ARENA) {
		ret = adopt_arena(mapping, arenas, nr_arenas, err);
	} else if (*fds == fds_end) {
		ret = weir_error_set(err, -EINVAL,
				     "the saved mapping at 0x%" PRIx64 " has no descriptor",
				     saved->iova);
	} else {
		mapping->delta = saved->iova;
		ret = adopt_file(mapping, saved, *(*fds)++, err);
	}
	if (!ret)
		ret = iova_insert(ioas, mapping, err);
	if (ret)
		mapping_free(mapping);
	return ret == -EEXIST ? -EINVAL : ret;
}

static int adopt_all(struct weir_ioas *ioas, const struct saved_ioas *saved, size_t bytes,
		     struct weir_arena *const *arenas, unsigned int nr_arenas, const int *fds,
		     unsigned int nr_fds, struct weir_error *err)
{
	const int *next = fds;
	int ret;

	if ((bytes - sizeof(*saved)) / sizeof(saved->mappings[0]) != saved->nr_mappings ||
	    (bytes - sizeof(*saved)) % sizeof(saved->mappings[0]))
		return weir_error_set(err, -EINVAL,
				      "an IOAS record of %zu bytes cannot hold %u mappings", bytes,
				      saved->nr_mappings);
	for (uint32_t i = 0; i < saved->nr_mappings; i++) {
		ret = adopt_mapping(ioas, &saved->mappings[i], arenas, nr_arenas, &next,
				    fds + nr_fds, err);
		if (ret)
			return ret;
	}
	if (next != fds + nr_fds)
		return weir_error_set(err, -EINVAL, "an IOAS record has %u descriptors too many",
				      (unsigned int)(fds + nr_fds - next));
	if (saved->next_iova >= WEIR_IOVA_WINDOW_BASE && saved->next_iova <= WEIR_IOVA_WINDOW_END)
		ioas->next_iova = saved->next_iova;
	return 0;
}

WEIR_EXPORT int weir_ioas_adopt(struct weir_state *state, struct weir_arena *const *arenas,
				unsigned int nr_arenas, const struct weir_log *log,
				struct weir_ioas **ioas, struct weir_error *err)
{
	static const struct weir_log silent;
	int fds[WEIR_STATE_MAX_FDS];
	const struct saved_ioas *saved;
	struct weir_ioas *as;
	const void *payload;
	unsigned int nr_fds;
	size_t bytes;
	int ret;

	ret = weir_state_take(state, IOAS_RECORD, IOAS_RECORD_VERSION, &payload, &bytes, fds,
			      WEIR_STATE_MAX_FDS, &nr_fds, err);
	if (ret)
		return ret;
	saved = payload;
	if (bytes < sizeof(*saved)) {
		ret = weir_error_set(err, -EINVAL, "an IOAS record of %zu bytes", bytes);
		goto close;
	}
	ret = ioas_new(saved->iova_bits, log ? log : &silent, &as, err);
	if (ret)
		goto close;
	ret = adopt_all(as, saved, bytes, arenas, nr_arenas, fds, nr_fds, err);
	if (ret)
		ioas_free(as);
	else
		*ioas = as;
close:
	for (unsigned int i = 0; i < nr_fds; i++)
		close(fds[i]);
	return ret;
}
