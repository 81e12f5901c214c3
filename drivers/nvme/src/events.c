/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens to a controller beside I/O: asynchronous events, namespaces that change, failure,
 * removal.
 */
#include "nvme.h"

#include <inttypes.h>
#include <string.h>

/* A fatal status, a device that somebody else has reset, or one that is gone. */
static void check_status(struct weir_nvme *nvme)
{
	struct weir_error why;
	uint32_t csts;

	if (nvme_read_status(nvme, &csts)) {
		weir_error_set(&why, -ENODEV, "the device is gone");
		nvme_fail(nvme, &why);
		return;
	}
	if (atomic_load(&nvme->reset_needed) ||
	    (csts & (NVME_CSTS_CFS | NVME_CSTS_RDY)) == NVME_CSTS_RDY)
		return;
	weir_error_set(
		&nvme->trouble, -EIO,
		csts & NVME_CSTS_CFS
			? "the controller reports a fatal status (CSTS %08" PRIx32 ")"
			: "the controller was stopped or reset by somebody else (CSTS %08" PRIx32
			  ")",
		csts);
	nvme_dump(nvme);
	atomic_store(&nvme->reset_needed, true);
}

/* Reading the log page that an event names lets the controller report that kind of event again
 * (base §5.2). */
static void acknowledge(struct weir_nvme *nvme, uint8_t lid)
{
	const struct weir_nvme_command command = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.nsid = NVME_NSID_ALL,
		.cdw10 = 127u << 16 | lid, /* 512 bytes */
	};
	uint8_t page[512];

	nvme_admin_run(nvme, &command, page, sizeof(page), WEIR_NVME_FROM_DEVICE, NULL,
		       "Get Log Page", NULL);
}

static void follow_up(struct weir_nvme *nvme)
{
	struct weir_error err;

	if (nvme->namespaces_changed) {
		nvme->namespaces_changed = false;
		acknowledge(nvme, NVME_LOG_CHANGED_NAMESPACES);
		if (nvme_identify_namespaces(nvme, &err))
			weir_log_write(&nvme->log, WEIR_LOG_WARN,
				       "namespaces changed and cannot be identified: %s", err.text);
		else
			nvme_event_add(nvme, WEIR_NVME_EVENT_NAMESPACES, 0);
	}
	for (unsigned int lid = 0; lid < 256; lid++) {
		if (nvme->event_logs[lid / 32] & 1u << lid % 32)
			acknowledge(nvme, (uint8_t)lid);
	}
	memset(nvme->event_logs, 0, sizeof(nvme->event_logs));
	if (nvme->rearm_events && nvme->state == NVME_LIVE) {
		nvme->rearm_events = false;
		nvme_admin_request_events(nvme);
	}
}

static void look(struct weir_nvme *nvme)
{
	nvme_pump_device(nvme);
	if (nvme->state == NVME_LIVE)
		check_status(nvme);
	if (nvme->state == NVME_LIVE && !atomic_load(&nvme->reset_needed)) {
		nvme_admin_poll(nvme);
		follow_up(nvme);
	}
	if (nvme->state == NVME_FAILED && !nvme->gone_reported) {
		nvme->gone_reported = true;
		nvme_event_add(nvme, WEIR_NVME_EVENT_GONE, 0);
	} else if (nvme->state == NVME_LIVE && atomic_load(&nvme->reset_needed) &&
		   !nvme->reset_reported) {
		nvme->reset_reported = true;
		nvme_event_add(nvme, WEIR_NVME_EVENT_RESET_NEEDED, 0);
	}
}

WEIR_EXPORT int weir_nvme_events(struct weir_nvme *nvme, struct weir_nvme_event *events,
				 unsigned int max)
{
	unsigned int n = 0;

	/* Whoever holds the lock is waiting for the controller and serves it meanwhile. */
	if (pthread_mutex_trylock(&nvme->lock))
		return 0;
	look(nvme);
	while (n < max && nvme->events_head != nvme->events_tail)
		events[n++] = nvme->events[nvme->events_head++ % NVME_EVENT_RING];
	pthread_mutex_unlock(&nvme->lock);
	return (int)n;
}

WEIR_EXPORT void weir_nvme_failure(const struct weir_nvme *nvme, struct weir_error *err)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&nvme->lock;

	pthread_mutex_lock(lock);
	if (nvme->state == NVME_FAILED)
		*err = nvme->failure;
	else if (atomic_load(&nvme->reset_needed))
		*err = nvme->trouble;
	else
		*err = (struct weir_error){ 0 };
	pthread_mutex_unlock(lock);
}
