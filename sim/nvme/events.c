/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous events (base §5.2). The client leaves requests here; an event completes one. A type
 * that was reported is masked until the client reads its log page; what happens meanwhile, or while
 * there is no request, waits.
 */
#include "nvme/controller.h"

#include <string.h>

/* Whether the client wants to hear of it (base §5.27.1.8). Errors cannot be turned off. */
static bool wanted(const struct sim_nvme *nvme, uint8_t type, uint8_t info)
{
	uint32_t config = nvme->features.async_events;

	if (type == NVME_EVENT_NOTICE && info == NVME_NOTICE_NAMESPACES)
		return config & NVME_ASYNC_NAMESPACES;
	if (type == NVME_EVENT_SMART && info == NVME_SMART_TEMPERATURE)
		return config & NVME_ASYNC_TEMPERATURE;
	return true;
}

void ctrl_event_add(struct sim_nvme *nvme, uint8_t type, uint8_t info, uint8_t log_page)
{
	struct ctrl_event event = { .type = type & 0x7, .info = info, .log_page = log_page };

	if (!wanted(nvme, event.type, info))
		return;
	for (unsigned int i = 0; i < nvme->nr_events; i++) {
		if (memcmp(&nvme->events[i], &event, sizeof(event)) == 0)
			return;
	}
	if (nvme->nr_events == CTRL_EVENTS)
		return;
	nvme->events[nvme->nr_events++] = event;
	nvme->attention = true;
}

uint16_t ctrl_event_request(struct sim_nvme *nvme, uint16_t cid)
{
	if (nvme->nr_async == CTRL_ASYNC_REQUESTS)
		return NVME_EVENT_LIMIT | NVME_DNR;
	nvme->async_cids[nvme->nr_async++] = cid;
	nvme->attention = true;
	return NVME_SUCCESS;
}

bool ctrl_event_abort(struct sim_nvme *nvme, uint16_t cid)
{
	for (unsigned int i = 0; i < nvme->nr_async; i++) {
		if (nvme->async_cids[i] == cid) {
			nvme->async_cids[i] = nvme->async_cids[--nvme->nr_async];
			return true;
		}
	}
	return false;
}

void ctrl_event_unmask(struct sim_nvme *nvme, uint8_t log_page)
{
	for (unsigned int type = 0; type < ARRAY_SIZE(nvme->event_logs); type++) {
		if (nvme->event_logs[type] == log_page)
			nvme->masked_events &= (uint8_t) ~(1u << type);
	}
	nvme->attention = true;
}

void ctrl_events_deliver(struct sim_nvme *nvme)
{
	struct ctrl_cq *cq = &nvme->cqs[0];
	unsigned int kept = 0, posted = 0;
	bool blocked = false; /* for want of room: to be tried again */

	for (unsigned int i = 0; i < nvme->nr_events; i++) {
		struct ctrl_event event = nvme->events[i];

		bool possible = nvme->nr_async && !(nvme->masked_events & 1u << event.type);

		if (!possible || !ctrl_cq_room(nvme, cq, 1)) {
			blocked |= possible;
			nvme->events[kept++] = event;
			continue;
		}
		nvme->masked_events |= (uint8_t)(1u << event.type);
		nvme->event_logs[event.type] = event.log_page;
		ctrl_post(nvme, &nvme->sqs[0], nvme->async_cids[--nvme->nr_async], NVME_SUCCESS,
			  event.type | (uint32_t)event.info << 8 | (uint32_t)event.log_page << 16);
		posted++;
	}
	nvme->nr_events = kept;
	nvme->attention = blocked;
	if (posted)
		ctrl_interrupt(nvme, cq);
}

void ctrl_events_reset(struct sim_nvme *nvme)
{
	nvme->nr_async = 0;
	nvme->nr_events = 0;
	nvme->masked_events = 0;
	nvme->changed_namespaces = 0;
	nvme->critical_warning = 0;
}
