/* SPDX-License-Identifier: BSD-3-Clause */
/* What happens to a port beside packets: its link, failure, removal; and its counters. */
#include <string.h>
#include <sys/eventfd.h>

#include "nic.h"

#define COUNT_NS UINT64_C(1000000000)

static void event_add(struct weir_nic *nic, enum weir_nic_event_type type, uint32_t info)
{
	if (nic->events_tail - nic->events_head == NIC_EVENT_RING)
		nic->events_head++; /* nobody takes them: the oldest goes */
	nic->events[nic->events_tail++ % NIC_EVENT_RING] = (struct weir_nic_event){ .type = type,
										    .info = info };
}

void nic_link_lost(struct weir_nic *nic)
{
	if (!nic->link_up)
		return;
	nic->link_up = false;
	event_add(nic, WEIR_NIC_EVENT_LINK, 0);
	if (nic->vector_fds)
		eventfd_write(nic->vector_fds[0], 1);
}

static void need_reset(struct weir_nic *nic, const char *text)
{
	if (nic->state != NIC_STARTED || atomic_load(&nic->reset_needed))
		return;
	weir_error_set(&nic->trouble, -EIO, "%s", text);
	atomic_store(&nic->reset_needed, true);
}

static void look_at_device(struct weir_nic *nic)
{
	struct weir_event events[8];
	struct weir_error why;
	int n;

	n = weir_device_events(nic->dev, events, ARRAY_SIZE(events));
	for (int i = 0; i < n; i++) {
		switch (events[i].type) {
		case WEIR_EVENT_GONE:
			weir_error_set(&why, -ENODEV, "the device is gone: %s",
				       strerror(-events[i].error));
			nic_fail(nic, &why);
			break;
		case WEIR_EVENT_REMOVE_REQUEST:
			event_add(nic, WEIR_NIC_EVENT_REMOVE_REQUEST, 0);
			break;
		case WEIR_EVENT_ERROR:
			need_reset(nic, "the device reported an uncorrectable error");
			break;
		case WEIR_EVENT_MAPPING_DEAD:
			event_add(nic, WEIR_NIC_EVENT_MAPPING_DEAD, 0);
			break;
		}
	}
	nic_usable(nic, NULL);
}

static void look_at_link(struct weir_nic *nic)
{
	struct weir_nic_link link;
	eventfd_t count;

	if (nic->vector_fds) {
		/* Emptied first: what changes from here on signals it again. */
		eventfd_read(nic->vector_fds[0], &count);
		if (nic_result(nic, nic->driver->link_interrupt(nic), NULL))
			return;
	}
	if (nic_result(nic, nic->driver->link(nic, &link, NULL), NULL) ||
	    nic->link_up == (link.up != 0))
		return;
	nic->link_up = link.up;
	event_add(nic, WEIR_NIC_EVENT_LINK, link.up);
}

/* Often enough for what the device counts in 32 bits, and seldom: some thirty registers are read.
 */
static void count(struct weir_nic *nic)
{
	uint64_t now = weir_now_ns();

	if (nic->state == NIC_GONE || now - nic->counted_ns < COUNT_NS)
		return;
	nic->counted_ns = now;
	nic_result(nic, nic->driver->count(nic), NULL);
}

static void look(struct weir_nic *nic)
{
	look_at_device(nic);
	if (nic->state != NIC_GONE)
		look_at_link(nic);
	count(nic);
	if (nic->state == NIC_GONE && !nic->gone_reported) {
		nic->gone_reported = true;
		event_add(nic, WEIR_NIC_EVENT_GONE, 0);
	} else if (nic->state == NIC_STARTED && atomic_load(&nic->reset_needed) &&
		   !nic->reset_reported) {
		nic->reset_reported = true;
		event_add(nic, WEIR_NIC_EVENT_RESET_NEEDED, 0);
	}
}

WEIR_EXPORT int weir_nic_events(struct weir_nic *nic, struct weir_nic_event *events,
				unsigned int max)
{
	unsigned int n = 0;

	/* Whoever holds the lock is waiting for the device and serves it meanwhile. */
	if (pthread_mutex_trylock(&nic->lock))
		return 0;
	look(nic);
	while (n < max && nic->events_head != nic->events_tail)
		events[n++] = nic->events[nic->events_head++ % NIC_EVENT_RING];
	pthread_mutex_unlock(&nic->lock);
	return (int)n;
}

WEIR_EXPORT void weir_nic_failure(const struct weir_nic *nic, struct weir_error *err)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&nic->lock;

	pthread_mutex_lock(lock);
	if (nic->state == NIC_GONE)
		*err = nic->failure;
	else if (atomic_load(&nic->reset_needed))
		*err = nic->trouble;
	else
		*err = (struct weir_error){ 0 };
	pthread_mutex_unlock(lock);
}

WEIR_EXPORT int weir_nic_link(struct weir_nic *nic, struct weir_nic_link *link,
			      struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = nic_usable(nic, err);
	if (!rc)
		rc = nic_result(nic, nic->driver->link(nic, link, err), err);
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

WEIR_EXPORT int weir_nic_stats(struct weir_nic *nic, struct weir_nic_stats *stats, size_t bytes)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = nic_usable(nic, NULL);
	if (!rc)
		rc = nic_result(nic, nic->driver->count(nic), NULL);
	/* A caller that was built with fewer counters gets those; one with more, zeroes. */
	memset(stats, 0, bytes);
	memcpy(stats, &nic->stats, bytes < sizeof(nic->stats) ? bytes : sizeof(nic->stats));
	pthread_mutex_unlock(&nic->lock);
	return rc;
}
