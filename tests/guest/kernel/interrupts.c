/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "interrupts.h"

int must_eventfd(void)
{
	return (int)must(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd()");
}

long signals(int fd, int milliseconds)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&wait, 1, milliseconds) > 0 && read(fd, &count, sizeof(count)) != sizeof(count))
		return -errno;
	return (long)count;
}

void edu_write(void *bar, unsigned int at, uint32_t value)
{
	*(volatile uint32_t *)((char *)bar + at) = value;
}
