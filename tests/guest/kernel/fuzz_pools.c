/* SPDX-License-Identifier: BSD-3-Clause */
#include <unistd.h>

#include "fuzz.h"

/* A place of a pool: the number of a device, or 0, above the file descriptor. */
#define OF_SHIFT 32
#define NOTHING (-1)

/* An area is one word: an IOVA's page above 14 bits for the number of pages and 14 for an id. */
#define AREA_BITS 14
#define AREA_MASK ((1ull << AREA_BITS) - 1)

/* More would keep the devices from the others. */
static const unsigned int sizes[POOLS] = {
	[CONTAINERS] = 3, [CONTEXTS] = 3, [GROUPS] = 3,	  [PARKED] = 2,
	[DEVICES] = 3,	  [MEMFDS] = 4,	  [EVENTFDS] = 6,
};

void fuzz_pools_init(struct fuzz_process *process)
{
	for (unsigned int pool = 0; pool < POOLS; pool++) {
		for (unsigned int i = 0; i < POOL_SIZE; i++)
			atomic_store(&process->files[pool][i], NOTHING);
	}
}

int fuzz_pick(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int *of,
	      unsigned int *place)
{
	unsigned int first = (unsigned int)fuzz_below(thread, sizes[pool]);
	int64_t file = NOTHING;
	unsigned int at = first;

	for (unsigned int i = 0; i < sizes[pool] && file == NOTHING; i++) {
		at = (first + i) % sizes[pool];
		file = atomic_load(&thread->process->files[pool][at]);
	}
	if (of)
		*of = file == NOTHING ? 0 : (unsigned int)(file >> OF_SHIFT);
	if (place)
		*place = at;
	return (int)(file & INT32_MAX) | (file == NOTHING ? NOTHING : 0);
}

int fuzz_pick_any(struct fuzz_thread *thread)
{
	return fuzz_pick(thread, (enum fuzz_pool)fuzz_below(thread, POOLS), NULL, NULL);
}

static void close_file(struct fuzz_thread *thread, int64_t file)
{
	if (file == NOTHING)
		return;
	fuzz_begin(thread, CLOSE);
	fuzz_end(thread, fuzz_errno(close((int)(file & INT32_MAX))));
}

static _Atomic uint64_t *areas_of(struct fuzz_thread *thread, enum fuzz_pool pool,
				  unsigned int place)
{
	return thread->process->areas[pool == CONTEXTS][place];
}

static void replace(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place,
		    int64_t file)
{
	close_file(thread, atomic_exchange(&thread->process->files[pool][place], file));
	if (pool == CONTEXTS)
		fuzz_forget_ids(thread->process, place);
	if (pool == CONTEXTS || pool == CONTAINERS) {
		for (unsigned int i = 0; i < AREAS; i++)
			atomic_store(&areas_of(thread, pool, place)[i], 0);
	}
}

unsigned int fuzz_keep(struct fuzz_thread *thread, enum fuzz_pool pool, long fd, unsigned int of)
{
	unsigned int place = (unsigned int)fuzz_below(thread, sizes[pool]);

	if (fd < 0)
		return place;
	for (unsigned int i = 0; i < sizes[pool]; i++) {
		if (atomic_load(&thread->process->files[pool][i]) == NOTHING)
			place = i;
	}
	replace(thread, pool, place, (int64_t)of << OF_SHIFT | fd);
	return place;
}

void fuzz_mark(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place, int fd,
	       unsigned int of)
{
	int64_t file = fd;

	/* Unless it is another one by now. */
	atomic_compare_exchange_strong(&thread->process->files[pool][place], &file,
				       (int64_t)of << OF_SHIFT | fd);
}

void fuzz_close_device(struct fuzz_thread *thread, unsigned int device)
{
	static const enum fuzz_pool pools[] = { PARKED, DEVICES };

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
		for (unsigned int place = 0; place < sizes[pools[i]]; place++) {
			int64_t file = atomic_load(&thread->process->files[pools[i]][place]);

			if (file != NOTHING && file >> OF_SHIFT == device)
				replace(thread, pools[i], place, NOTHING);
		}
	}
}

void fuzz_close_one(struct fuzz_thread *thread)
{
	enum fuzz_pool pool = (enum fuzz_pool)fuzz_below(thread, POOLS);

	replace(thread, pool, (unsigned int)fuzz_below(thread, sizes[pool]), NOTHING);
}

void fuzz_close_all(struct fuzz_thread *thread)
{
	unsigned int first = (unsigned int)fuzz_below(thread, (uint64_t)POOLS * POOL_SIZE);

	/* 5 has no divisor in common with the number of places. */
	for (unsigned int i = 0; i < POOLS * POOL_SIZE; i++) {
		unsigned int at = (first + 5 * i) % (POOLS * POOL_SIZE);

		replace(thread, (enum fuzz_pool)(at / POOL_SIZE), at % POOL_SIZE, NOTHING);
	}
}

void fuzz_forget_ids(struct fuzz_process *process, unsigned int context)
{
	for (unsigned int kind = 0; kind < ID_KINDS; kind++) {
		for (unsigned int i = 0; i < IDS; i++)
			atomic_store(&process->ids[context][kind][i], 0);
	}
}

void fuzz_keep_id(struct fuzz_thread *thread, unsigned int context, enum fuzz_id kind, uint32_t id)
{
	atomic_store(&thread->process->ids[context][kind][fuzz_below(thread, IDS)], id);
}

void fuzz_drop_id(struct fuzz_thread *thread, unsigned int context, enum fuzz_id kind, uint32_t id)
{
	for (unsigned int i = 0; i < IDS; i++) {
		uint32_t found = id;

		atomic_compare_exchange_strong(&thread->process->ids[context][kind][i], &found, 0);
	}
}

uint32_t fuzz_pick_id(struct fuzz_thread *thread, unsigned int context, enum fuzz_id kind)
{
	unsigned int first = (unsigned int)fuzz_below(thread, IDS);
	uint32_t id = 0;

	/* Objects of others who have the context, or none. */
	if (fuzz_once_in(thread, 16))
		return (uint32_t)fuzz_below(thread, 12);
	for (unsigned int i = 0; i < IDS && !id; i++)
		id = atomic_load(&thread->process->ids[context][kind][(first + i) % IDS]);
	return id;
}

static uint64_t word_of(const struct fuzz_area *area)
{
	return area->iova / PAGE << 2 * AREA_BITS | (area->length / PAGE & AREA_MASK) << AREA_BITS |
	       (area->id & AREA_MASK);
}

void fuzz_keep_area(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place,
		    const struct fuzz_area *area)
{
	_Atomic uint64_t *areas = areas_of(thread, pool, place);
	unsigned int at = (unsigned int)fuzz_below(thread, AREAS);

	for (unsigned int tries = 0; tries < AREAS && atomic_load(&areas[at]); tries++)
		at = (at + 1) % AREAS;
	atomic_store(&areas[at], word_of(area));
}

void fuzz_drop_area(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place,
		    const struct fuzz_area *area)
{
	_Atomic uint64_t *areas = areas_of(thread, pool, place);

	for (unsigned int i = 0; i < AREAS; i++) {
		uint64_t word = word_of(area);

		atomic_compare_exchange_strong(&areas[i], &word, 0);
	}
}

struct fuzz_area fuzz_pick_area(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place)
{
	_Atomic uint64_t *areas = areas_of(thread, pool, place);
	unsigned int first = (unsigned int)fuzz_below(thread, AREAS);
	struct fuzz_area area;
	uint64_t word = 0;

	for (unsigned int i = 0; i < AREAS && !word; i++)
		word = atomic_load(&areas[(first + i) % AREAS]);
	area.iova = (word >> 2 * AREA_BITS) * PAGE;
	area.length = (word >> AREA_BITS & AREA_MASK) * PAGE;
	area.id = word & AREA_MASK;
	if (!word || fuzz_once_in(thread, 16)) {
		area.iova = fuzz_pick_iova(thread, pool, place);
		area.length = fuzz_length(thread);
	}
	/* Mapped through the calls of a container, or of another address space. */
	if (pool == CONTEXTS && (!area.id || fuzz_once_in(thread, 16)))
		area.id = fuzz_pick_id(thread, place, ID_IOAS);
	return area;
}

uint64_t fuzz_pick_iova(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place)
{
	const uint64_t room = 64 * PAGE;

	switch (fuzz_below(thread, 16)) {
	case 0:
		return fuzz_interesting(thread);
	case 1:
		return fuzz_below(thread, IOVA_SPACE / PAGE) * PAGE;
	case 2: /* One that is taken. */
		return (atomic_load(&areas_of(thread, pool, place)[fuzz_below(thread, AREAS)]) >>
			2 * AREA_BITS) *
		       PAGE;
	case 3: /* Huge pages fit. */
		return fuzz_below(thread, IOVA_SPACE / CHUNK_SIZE) * CHUNK_SIZE;
	default:
		return fuzz_below(thread, IOVA_SPACE / room) * room;
	}
}
