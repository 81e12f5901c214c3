/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuzz.h"

/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static uint64_t scramble(uint64_t value)
{
	value += 0x9e3779b97f4a7c15ull;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
	return value ^ (value >> 31);
}

uint64_t fuzz_mix(uint64_t one, uint64_t other)
{
	return scramble(one ^ scramble(other));
}

uint64_t fuzz_random(struct fuzz_thread *thread)
{
	thread->random += 0x9e3779b97f4a7c15ull;
	return scramble(thread->random);
}

uint64_t fuzz_below(struct fuzz_thread *thread, uint64_t limit)
{
	return fuzz_random(thread) % limit;
}

bool fuzz_once_in(struct fuzz_thread *thread, uint64_t times)
{
	return fuzz_below(thread, times) == 0;
}

uint64_t fuzz_interesting(struct fuzz_thread *thread)
{
	switch (fuzz_below(thread, 12)) {
	case 0:
		return 0;
	case 1:
		return fuzz_below(thread, 8);
	case 2:
		return 1ull << fuzz_below(thread, 64);
	case 3:
		return UINT64_MAX - fuzz_below(thread, 3);
	case 4:
		return 0 - fuzz_below(thread, 4) * PAGE;
	case 5:
		return fuzz_below(thread, 1024) * PAGE;
	case 6:
		return (uintptr_t)thread->process->memory +
		       fuzz_below(thread, CHUNKS * CHUNK_SIZE / PAGE) * PAGE;
	case 7:
		return (uint64_t)fuzz_pick_any(thread);
	case 8:
		/* The window of message-signalled interrupts. */
		return 0xfee00000ull + fuzz_below(thread, 2) * PAGE;
	case 9:
		return fuzz_below(thread, 5) * PAGE + fuzz_below(thread, 3) - 1;
	case 10:
		/* Ends of what IOMMUs can address, and of 32 bits. */
		return (1ull << (32 + fuzz_below(thread, 4) * 8)) - fuzz_below(thread, 3) * PAGE;
	default:
		return fuzz_random(thread);
	}
}

uint64_t fuzz_length(struct fuzz_thread *thread)
{
	switch (fuzz_below(thread, 16)) {
	case 0:
		return CHUNK_SIZE;
	case 1:
		return fuzz_interesting(thread);
	case 2:
		return fuzz_below(thread, 512) * PAGE;
	default:
		return (1 + fuzz_below(thread, 32)) * PAGE;
	}
}
