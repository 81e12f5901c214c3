/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fuzz.h"

#define BUFFER (2 * PAGE)
#define TAIL 32u /* bytes that a structure may grow by */

static void change(struct fuzz_thread *thread, unsigned char *at, size_t size)
{
	uint64_t value = fuzz_interesting(thread);
	size_t words = size / sizeof(uint32_t);
	size_t word = words ? fuzz_below(thread, words) : 0;
	uint32_t flags;

	if (size < sizeof(uint32_t)) {
		memcpy(at, &value, size);
		return;
	}
	switch (fuzz_below(thread, 4)) {
	case 0: /* Its size, as it says. */
		word = 0;
		value = fuzz_once_in(thread, 2) ? size + fuzz_below(thread, 17) - 8 : value;
		break;
	case 1: /* Flags, mostly. */
		memcpy(&flags, at + sizeof(uint32_t) * (words > 1), sizeof(flags));
		word = words > 1;
		value = flags ^ 1u << fuzz_below(thread, 32);
		break;
	case 2: /* A long one. */
		if (words >= 2) {
			word = fuzz_below(thread, words / 2) * 2;
			memcpy(at + word * sizeof(uint32_t), &value, sizeof(value));
			return;
		}
		break;
	default:
		break;
	}
	memcpy(at + word * sizeof(uint32_t), &value, sizeof(uint32_t));
}

long fuzz_call(struct fuzz_thread *thread, enum fuzz_counter counter, int fd, unsigned long request,
	       void *argument, size_t size)
{
	bool mutate = !thread->careful && fuzz_once_in(thread, 5);
	/* What is behind it cannot be read, or is what calls before have left there. */
	size_t room = fuzz_once_in(thread, 2) ? 0 : TAIL;
	unsigned char *at = thread->buffer + BUFFER - size - room;
	void *where = at;
	long result;

	memcpy(at, argument, size);
	if (mutate) {
		if (room && fuzz_once_in(thread, 2))
			memset(at + size, fuzz_once_in(thread, 2) ? 0xff : 0, room);
		for (unsigned int times = 1 + (unsigned int)fuzz_below(thread, 2); times; times--)
			change(thread, at, size);
		if (fuzz_once_in(thread, 32))
			fd = fuzz_pick_any(thread);
		if (fuzz_once_in(thread, 64))
			where = at + fuzz_below(thread, 2 * size);
	}
	fuzz_begin(thread, counter);
	result = fuzz_end(thread, fuzz_errno(ioctl(fd, request, where)));
	memcpy(argument, at, size);
	return result;
}

long fuzz_call_number(struct fuzz_thread *thread, enum fuzz_counter counter, int fd,
		      unsigned long request, unsigned long argument)
{
	if (!thread->careful && fuzz_once_in(thread, 8))
		argument = fuzz_interesting(thread);
	fuzz_begin(thread, counter);
	return fuzz_end(thread, fuzz_errno(ioctl(fd, request, argument)));
}

/* Structures have a size in front, and are at most 64 bytes; what is behind them is zero. */
static void fill(struct fuzz_thread *thread, uint32_t *words, size_t count)
{
	size_t used = 2 + fuzz_below(thread, 13);

	memset(words, 0, count * sizeof(*words));
	for (size_t i = 0; i < used; i += 2) {
		uint64_t value = fuzz_interesting(thread);

		if (fuzz_once_in(thread, 2)) {
			memcpy(&words[i], &value, sizeof(value));
			continue;
		}
		words[i] = (uint32_t)fuzz_below(thread, 8);
		words[i + 1] = (uint32_t)(fuzz_once_in(thread, 2) ? value : fuzz_below(thread, 8));
	}
	words[0] = fuzz_once_in(thread, 16) ? (uint32_t)fuzz_interesting(thread) : 64;
	/* Flags, or an id. */
	if (!fuzz_once_in(thread, 8))
		words[1] = (uint32_t)fuzz_below(thread, 8);
}

void fuzz_garbage(struct fuzz_thread *thread)
{
	uint32_t *words = (uint32_t *)(void *)thread->buffer;
	unsigned int number = fuzz_once_in(thread, 2)
				      ? VFIO_BASE + (unsigned int)fuzz_below(thread, 28)
				      : 0x80 + (unsigned int)fuzz_below(thread, 24);
	unsigned long request = _IO(VFIO_TYPE, number);
	unsigned long argument = (uintptr_t)words;

	fill(thread, words, 64);
	if (fuzz_once_in(thread, 16))
		argument = fuzz_interesting(thread) & 0xff;
	if (fuzz_once_in(thread, 16))
		request = (unsigned long)fuzz_interesting(thread) & UINT32_MAX;
	fuzz_begin(thread, GARBAGE);
	fuzz_end(thread, fuzz_errno(ioctl(fuzz_pick_any(thread), request, argument)));
}
