/* SPDX-License-Identifier: BSD-3-Clause */
/* Get and Set Features (base §5.15, §5.27). No value outlives a controller reset. */
#include "nvme/controller.h"

#include <string.h>

#define QUEUES_MAX 0xffff
#define TIMESTAMP_BYTES 8
#define HOST_ID_EXTENDED 1u /* dword 11 EXHID */

/* Get Features, dword 10 SEL. */
enum select {
	SELECT_CURRENT = 0,
	SELECT_DEFAULT = 1,
	SELECT_SAVED = 2, /* none is: the default */
	SELECT_CAPABILITIES = 3,
};
#define CAPABLE_CHANGE 0x4u

#define SET_SAVE 0x80000000u /* Set Features, dword 10 SV */

static void features_defaults(const struct sim_nvme *nvme, struct ctrl_features *features)
{
	*features = (struct ctrl_features){
		.temperature_over = CTRL_WARNING_KELVIN,
		.write_cache = nvme->options.write_cache,
	};
}

void ctrl_features_reset(struct sim_nvme *nvme)
{
	features_defaults(nvme, &nvme->features);
}

bool ctrl_write_through(const struct sim_nvme *nvme)
{
	return !(nvme->features.write_cache & 1);
}

static uint32_t queues_value(const struct sim_nvme *nvme)
{
	return (nvme->options.queues - 1) | (nvme->options.queues - 1) << 16;
}

/* Base §5.27.1.3: under threshold by THSEL, of the composite sensor only. */
static uint32_t *temperature(struct ctrl_features *features, uint32_t cdw11)
{
	if (cdw11 >> 16 & 0xf)
		return NULL;
	switch (cdw11 >> 20 & 0x3) {
	case 0:
		return &features->temperature_over;
	case 1:
		return &features->temperature_under;
	default:
		return NULL;
	}
}

/* The dword that holds a feature's value, or NULL when there is no such feature. */
static uint32_t *word(const struct sim_nvme *nvme, struct ctrl_features *features, uint8_t id,
		      uint32_t cdw11)
{
	switch (id) {
	case NVME_FEATURE_ARBITRATION:
		return &features->arbitration;
	case NVME_FEATURE_POWER:
		return &features->power;
	case NVME_FEATURE_TEMPERATURE:
		return temperature(features, cdw11);
	case NVME_FEATURE_ERROR_RECOVERY:
		return &features->error_recovery;
	case NVME_FEATURE_WRITE_CACHE:
		return nvme->options.write_cache ? &features->write_cache : NULL;
	case NVME_FEATURE_COALESCING:
		return &features->coalescing;
	case NVME_FEATURE_VECTOR:
		return (cdw11 & 0xffff) <= nvme->options.queues ? &features->vectors[cdw11 & 0xffff]
								: NULL;
	case NVME_FEATURE_ATOMICITY:
		return &features->atomicity;
	case NVME_FEATURE_ASYNC_EVENTS:
		return &features->async_events;
	default:
		return NULL;
	}
}

/* Features whose value is data. */
static uint16_t get_timestamp(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	const struct ctrl_features *features = &nvme->features;
	uint64_t elapsed_ns = weir_now_ns() - (features->timestamp_set ? features->timestamp_at_ns
								       : nvme->created_ns);
	/* Base figure 322: 48 bits of ms, then the origin: 001b set by the host. */
	uint64_t value = (features->timestamp_ms + elapsed_ns / 1000000) & 0xffffffffffff;
	struct sim_window window = { 0 };
	uint16_t status;

	if (features->timestamp_set)
		value |= UINT64_C(1) << 49;
	status = ctrl_map_data(nvme, &window, sqe, TIMESTAMP_BYTES, CTRL_PROT_WRITE);
	return status ? status : ctrl_data_put(nvme, 0, &value, sizeof(value));
}

static uint16_t set_timestamp(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	struct sim_window window = { 0 };
	uint64_t value = 0;
	uint16_t status;

	status = ctrl_map_data(nvme, &window, sqe, TIMESTAMP_BYTES, CTRL_PROT_READ);
	if (!status)
		status = ctrl_data_get(nvme, 0, &value, sizeof(value));
	if (status)
		return status;
	nvme->features.timestamp_ms = value & 0xffffffffffff;
	nvme->features.timestamp_at_ns = weir_now_ns();
	nvme->features.timestamp_set = true;
	return NVME_SUCCESS;
}

static uint64_t host_id_bytes(const struct nvme_sqe *sqe)
{
	return sqe->cdw11 & HOST_ID_EXTENDED ? 16 : 8;
}

static uint16_t get_host_id(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint64_t bytes = host_id_bytes(sqe);
	struct sim_window window = { 0 };
	uint16_t status = ctrl_map_data(nvme, &window, sqe, bytes, CTRL_PROT_WRITE);

	return status ? status : ctrl_data_put(nvme, 0, nvme->features.host_id, bytes);
}

static uint16_t set_host_id(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint64_t bytes = host_id_bytes(sqe);
	struct sim_window window = { 0 };
	uint8_t id[16] = { 0 };
	uint16_t status = ctrl_map_data(nvme, &window, sqe, bytes, CTRL_PROT_READ);

	if (!status)
		status = ctrl_data_get(nvme, 0, id, bytes);
	if (!status)
		memcpy(nvme->features.host_id, id, sizeof(id));
	return status;
}

static uint16_t get_current(struct sim_nvme *nvme, const struct nvme_sqe *sqe, uint8_t id,
			    struct ctrl_features *features, uint32_t *result)
{
	const uint32_t *value = word(nvme, features, id, sqe->cdw11);

	if (id == NVME_FEATURE_QUEUES) {
		*result = queues_value(nvme);
		return NVME_SUCCESS;
	}
	if (!value)
		return NVME_INVALID_FIELD | NVME_DNR;
	*result = *value;
	/* Base figure 321: the vector is part of the value. */
	if (id == NVME_FEATURE_VECTOR)
		*result |= sqe->cdw11 & 0xffff;
	return NVME_SUCCESS;
}

uint16_t ctrl_get_features(struct sim_nvme *nvme, const struct nvme_sqe *sqe, uint32_t *result)
{
	uint8_t id = sqe->cdw10 & 0xff;
	struct ctrl_features defaults;

	switch (sqe->cdw10 >> 8 & 0x7) {
	case SELECT_CURRENT:
		if (id == NVME_FEATURE_TIMESTAMP)
			return get_timestamp(nvme, sqe);
		if (id == NVME_FEATURE_HOST_ID)
			return get_host_id(nvme, sqe);
		return get_current(nvme, sqe, id, &nvme->features, result);
	case SELECT_DEFAULT:
	case SELECT_SAVED:
		features_defaults(nvme, &defaults);
		return get_current(nvme, sqe, id, &defaults, result);
	case SELECT_CAPABILITIES:
		if (id != NVME_FEATURE_TIMESTAMP && id != NVME_FEATURE_HOST_ID &&
		    get_current(nvme, sqe, id, &nvme->features, result))
			return NVME_INVALID_FIELD | NVME_DNR;
		*result = CAPABLE_CHANGE;
		return NVME_SUCCESS;
	default:
		return NVME_INVALID_FIELD | NVME_DNR;
	}
}

/* Base §5.27.1.5: before the first I/O queue. All that were asked for are granted, up to what there
 * are. */
static uint16_t set_queues(struct sim_nvme *nvme, uint32_t cdw11, uint32_t *result)
{
	uint32_t sqs = cdw11 & 0xffff, cqs = cdw11 >> 16;

	if (sqs == QUEUES_MAX || cqs == QUEUES_MAX)
		return NVME_INVALID_FIELD | NVME_DNR;
	for (uint32_t qid = 1; qid <= nvme->options.queues; qid++) {
		if (nvme->sqs[qid].live || nvme->cqs[qid].live)
			return NVME_COMMAND_SEQUENCE | NVME_DNR;
	}
	*result = queues_value(nvme);
	return NVME_SUCCESS;
}

/* The temperature never changes here; a threshold can be moved past it. */
static void check_temperature(struct sim_nvme *nvme)
{
	if (CTRL_KELVIN < nvme->features.temperature_over &&
	    CTRL_KELVIN > nvme->features.temperature_under) {
		nvme->critical_warning = 0;
		return;
	}
	nvme->critical_warning = NVME_WARNING_TEMPERATURE;
	ctrl_event_add(nvme, NVME_EVENT_SMART, NVME_SMART_TEMPERATURE, NVME_LOG_SMART);
}

/* What may be in dword 11 of a feature; what is reserved is not looked at. */
static bool value_possible(uint8_t id, uint32_t cdw11)
{
	switch (id) {
	case NVME_FEATURE_POWER: /* Identify NPSS is 0 */
		return (cdw11 & 0x1f) == 0;
	case NVME_FEATURE_ERROR_RECOVERY: /* DULBE, which Identify NSFEAT does not offer */
		return !(cdw11 & 0x10000);
	default:
		return true;
	}
}

static uint32_t value_mask(uint8_t id)
{
	switch (id) {
	case NVME_FEATURE_TEMPERATURE:
	case NVME_FEATURE_COALESCING:
		return 0xffff;
	case NVME_FEATURE_WRITE_CACHE:
	case NVME_FEATURE_ATOMICITY:
		return 0x1;
	case NVME_FEATURE_POWER:
		return 0xff;
	case NVME_FEATURE_ERROR_RECOVERY:
		return 0x1ffff;
	case NVME_FEATURE_VECTOR:
		return 0x10000;
	default:
		return UINT32_MAX;
	}
}

uint16_t ctrl_set_features(struct sim_nvme *nvme, const struct nvme_sqe *sqe, uint32_t *result)
{
	uint8_t id = sqe->cdw10 & 0xff;
	uint32_t *value;

	if (sqe->cdw10 & SET_SAVE)
		return NVME_FEATURE_NOT_SAVEABLE | NVME_DNR;
	switch (id) {
	case NVME_FEATURE_QUEUES:
		return set_queues(nvme, sqe->cdw11, result);
	case NVME_FEATURE_TIMESTAMP:
		return set_timestamp(nvme, sqe);
	case NVME_FEATURE_HOST_ID:
		return set_host_id(nvme, sqe);
	default:
		break;
	}
	value = word(nvme, &nvme->features, id, sqe->cdw11);
	if (!value || !value_possible(id, sqe->cdw11))
		return NVME_INVALID_FIELD | NVME_DNR;
	/* What was acknowledged while the cache was on is not left in it. */
	if (id == NVME_FEATURE_WRITE_CACHE && nvme->backing->flush(nvme))
		return NVME_WRITE_FAULT;
	*value = sqe->cdw11 & value_mask(id);
	if (id == NVME_FEATURE_TEMPERATURE)
		check_temperature(nvme);
	return NVME_SUCCESS;
}
