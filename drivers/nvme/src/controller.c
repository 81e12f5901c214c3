/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller's life: capabilities, enabling and disabling (base §3.5), shutdown (base §3.6),
 * failure for good.
 */
#include "nvme.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_ADMIN_TIMEOUT_MS 10000
#define DEFAULT_IO_TIMEOUT_MS 30000
#define DEFAULT_QUEUES 64
#define DEFAULT_ARENA_BYTES (UINT64_C(64) << 20)
#define MAX_PAGE_SHIFT 16
#define PCI_CLASS_NVME 0x010802
#define PCI_CONFIG_REVISION 0x08 /* PCI 3.0 §6.1 */

int nvme_options_check(struct weir_nvme_options *options, const struct weir_nvme_options *from,
		       struct weir_error *err)
{
	int rc;

	*options = (struct weir_nvme_options)WEIR_NVME_OPTIONS_INIT;
	rc = weir_options_copy(options, sizeof(*options), from, "NVMe options", err);
	if (rc)
		return rc;
	if (options->reserved)
		return weir_error_set(err, -EINVAL, "NVMe options: reserved is %u, not 0",
				      options->reserved);
	if (options->max_queues > NVME_MAX_QUEUES)
		return weir_error_set(err, -EINVAL, "%u queues are over the limit of %u",
				      options->max_queues, NVME_MAX_QUEUES);
	if (!options->admin_timeout_ms)
		options->admin_timeout_ms = DEFAULT_ADMIN_TIMEOUT_MS;
	if (!options->io_timeout_ms)
		options->io_timeout_ms = DEFAULT_IO_TIMEOUT_MS;
	if (!options->max_queues)
		options->max_queues = DEFAULT_QUEUES;
	if (!options->arena_bytes)
		options->arena_bytes = DEFAULT_ARENA_BYTES;
	return 0;
}

struct weir_nvme *nvme_alloc(struct weir_device *dev, struct weir_arena *arena,
			     const struct weir_nvme_options *options)
{
	struct weir_nvme *nvme = calloc(1, sizeof(*nvme));

	if (!nvme)
		return NULL;
	nvme->dev = dev;
	nvme->arena = arena;
	nvme->options = *options;
	nvme->log = options->log;
	pthread_mutex_init(&nvme->lock, NULL);
	pthread_mutex_init(&nvme->blocking_lock, NULL);
	TAILQ_INIT(&nvme->qps);
	return nvme;
}

void nvme_free(struct weir_nvme *nvme)
{
	for (unsigned int i = 0; i < nvme->nr_ns; i++)
		free(nvme->ns[i]);
	free(nvme->ns);
	pthread_mutex_destroy(&nvme->blocking_lock);
	pthread_mutex_destroy(&nvme->lock);
	free(nvme);
}

int nvme_read_caps(struct weir_nvme *nvme, struct weir_error *err)
{
	uint32_t version;
	int rc;

	rc = weir_device_read64(nvme->dev, 0, NVME_REG_CAP, &nvme->cap);
	if (!rc)
		rc = weir_device_read32(nvme->dev, 0, NVME_REG_VS, &version);
	if (rc)
		return weir_error_set(err, rc, "the controller's registers cannot be read: %s",
				      strerror(-rc));
	if (nvme->cap == UINT64_MAX)
		return weir_error_set(err, -ENODEV, "the controller is gone: CAP reads all ones");
	if (!(NVME_CAP_CSS(nvme->cap) & NVME_CAP_CSS_NVM))
		return weir_error_set(err, -EOPNOTSUPP, "no NVM command set: CAP.CSS is %02" PRIx32,
				      NVME_CAP_CSS(nvme->cap));
	if (!NVME_CAP_MQES(nvme->cap))
		return weir_error_set(err, -EPROTO, "CAP.MQES is 0, a queue needs two entries");

	nvme->version = version;
	nvme->page_shift = 12 + NVME_CAP_MPSMIN(nvme->cap);
	if (nvme->page_shift > MAX_PAGE_SHIFT)
		return weir_error_set(
			err, -EOPNOTSUPP,
			"the controller's smallest page, %u bytes, is over the driver's %u",
			1u << nvme->page_shift, 1u << MAX_PAGE_SHIFT);
	nvme->doorbell_stride = 4u << NVME_CAP_DSTRD(nvme->cap);
	return 0;
}

/*
 * While the kernel resets a device, for an administrator or after an error of the bus, its
 * registers read all ones as if it were gone. Configuration space is then not to be had before the
 * reset is over, so that after reading it the register tells. And where registers of a device that
 * is gone read as something else, configuration space reads all ones.
 */
int nvme_read_status(struct weir_nvme *nvme, uint32_t *csts)
{
	uint32_t revision = 0;
	int rc;

	rc = weir_device_read32(nvme->dev, 0, NVME_REG_CSTS, csts);
	if (rc || (*csts != UINT32_MAX && *csts & NVME_CSTS_RDY))
		return rc;
	rc = weir_device_read(nvme->dev, WEIR_REGION_CONFIG, PCI_CONFIG_REVISION, &revision,
			      sizeof(revision), NULL);
	if (!rc && revision == UINT32_MAX)
		rc = -ENODEV;
	if (!rc)
		rc = weir_device_read32(nvme->dev, 0, NVME_REG_CSTS, csts);
	if (!rc && *csts == UINT32_MAX)
		rc = -ENODEV;
	return rc;
}

static void sleep_us(unsigned int us)
{
	struct timespec pause = { .tv_nsec = us * 1000L };

	nanosleep(&pause, NULL);
}

/* Waits until CSTS & mask is value. CAP.TO counts in 500 ms; 0 is taken as one. */
static int wait_status(struct weir_nvme *nvme, uint32_t mask, uint32_t value, unsigned int ms,
		       const char *what, struct weir_error *err)
{
	uint64_t deadline = weir_now_ns() + ms * UINT64_C(1000000);
	unsigned int pause = 10;
	uint32_t csts;
	int rc;

	for (;;) {
		rc = nvme_read_status(nvme, &csts);
		if (rc)
			return weir_error_set(err, rc, "the controller is gone while it should %s",
					      what);
		if ((csts & mask) == value)
			return 0;
		if ((csts & NVME_CSTS_CFS) && (mask & value & NVME_CSTS_RDY))
			return weir_error_set(
				err, -EIO,
				"the controller reports a fatal status (CSTS %08" PRIx32
				") while it should %s",
				csts, what);
		if (weir_now_ns() > deadline)
			return weir_error_set(
				err, -ETIMEDOUT,
				"the controller did not %s within %u ms (CSTS %08" PRIx32 ")", what,
				ms, csts);
		sleep_us(pause);
		if (pause < 1000)
			pause *= 2;
	}
}

static unsigned int ready_ms(const struct weir_nvme *nvme)
{
	uint32_t to = NVME_CAP_TO(nvme->cap);

	return (to ? to : 1) * 500;
}

int nvme_disable(struct weir_nvme *nvme, struct weir_error *err)
{
	uint32_t cc, csts;
	int rc;

	rc = nvme_read_status(nvme, &csts);
	if (!rc)
		rc = weir_device_read32(nvme->dev, 0, NVME_REG_CC, &cc);
	if (!rc && (cc & NVME_CC_EN)) {
		/* Base §3.1.3.5: EN must not be cleared before a preceding enable has finished. */
		struct weir_error ignored;

		wait_status(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY, ready_ms(nvme), "become ready",
			    &ignored);
		rc = weir_device_write32(nvme->dev, 0, NVME_REG_CC,
					 cc & ~(NVME_CC_EN | NVME_CC_SHN_MASK));
	}
	if (rc)
		return weir_error_set(err, rc, "the controller's registers cannot be reached: %s",
				      strerror(-rc));
	return wait_status(nvme, NVME_CSTS_RDY, 0, ready_ms(nvme), "stop", err);
}

int nvme_enable(struct weir_nvme *nvme, struct weir_error *err)
{
	const uint32_t aqa = (NVME_ADMIN_ENTRIES - 1) << 16 | (NVME_ADMIN_ENTRIES - 1);
	const uint32_t cc = NVME_CC_EN | NVME_CC_MPS(nvme->page_shift - 12) | NVME_CC_IOSQES |
			    NVME_CC_IOCQES;
	int rc;

	nvme_admin_reset(nvme);
	rc = weir_device_bus_master(nvme->dev, 1, err);
	if (rc)
		return rc;
	rc = weir_device_write32(nvme->dev, 0, NVME_REG_AQA, aqa);
	if (!rc)
		rc = weir_device_write64(nvme->dev, 0, NVME_REG_ASQ, nvme->admin.sq_iova);
	if (!rc)
		rc = weir_device_write64(nvme->dev, 0, NVME_REG_ACQ, nvme->admin.cq_iova);
	if (!rc)
		rc = weir_device_write32(nvme->dev, 0, NVME_REG_CC, cc);
	if (rc)
		return weir_error_set(err, rc, "the controller's registers cannot be written: %s",
				      strerror(-rc));
	return wait_status(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY, ready_ms(nvme), "become ready", err);
}

/* Asks for I/O queues (base §5.27.1.5). */
static int request_queues(struct weir_nvme *nvme, struct weir_error *err)
{
	uint32_t wanted = nvme->options.max_queues - 1, granted;
	uint64_t bar = weir_device_region_bytes(nvme->dev, WEIR_REGION_BAR0);
	uint64_t doorbells = (bar - NVME_REG_DOORBELLS) / nvme->doorbell_stride;
	struct weir_nvme_command command = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = NVME_FEATURE_QUEUES,
		.cdw11 = wanted << 16 | wanted,
	};
	int rc = nvme_admin_run(nvme, &command, NULL, 0, WEIR_NVME_NO_DATA, &granted,
				"Set Features, Number of Queues", err);

	if (rc)
		return rc;
	nvme->queues = granted >> 16 < (granted & 0xffff) ? granted >> 16 : granted & 0xffff;
	if (nvme->queues > wanted)
		nvme->queues = wanted;
	nvme->queues++;
	if (doorbells < 4)
		return weir_error_set(
			err, -EPROTO,
			"BAR 0 has %" PRIu64 " bytes, no room for an I/O queue's doorbells", bar);
	if (nvme->queues > doorbells / 2 - 1)
		nvme->queues = (uint32_t)(doorbells / 2 - 1);
	if (nvme->vector_fds && nvme->queues > nvme->nr_vectors)
		nvme->queues = nvme->nr_vectors;
	nvme->info.queues = nvme->queues;
	return 0;
}

/* Base §5.27.1.8; only what the driver acts upon. A controller without it is fine. */
static void configure_events(struct weir_nvme *nvme)
{
	struct weir_nvme_command command = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = NVME_FEATURE_ASYNC_EVENTS,
		.cdw11 = NVME_ASYNC_NAMESPACES | 0x1f, /* namespace changes and SMART warnings */
	};

	nvme_admin_run(nvme, &command, NULL, 0, WEIR_NVME_NO_DATA, NULL, "Set Features", NULL);
}

/* Gives the controller the shadow doorbell pages (base §5.8). It is no failure if it does not take
 * them. */
static void configure_shadow_doorbells(struct weir_nvme *nvme)
{
	struct weir_nvme_command command = { .opcode = NVME_ADMIN_DOORBELL_BUFFER };
	size_t page = (size_t)1 << nvme->page_shift;

	nvme->use_shadow = false;
	nvme->info.shadow_doorbells = 0;
	if (!(nvme->info.oacs & NVME_OACS_DOORBELL_BUFFER) ||
	    (nvme->info.doorbells_mapped && !nvme->options.shadow_doorbells))
		return;
	if (!nvme->shadow)
		nvme->shadow = nvme_take_pages(nvme, page);
	if (!nvme->shadow_event)
		nvme->shadow_event = nvme_take_pages(nvme, page);
	if (!nvme->shadow || !nvme->shadow_event)
		return;
	memset(nvme->shadow, 0, page);
	memset(nvme->shadow_event, 0, page);
	command.prp1 = weir_arena_ptr_iova(nvme->arena, nvme->shadow);
	command.prp2 = weir_arena_ptr_iova(nvme->arena, nvme->shadow_event);
	nvme->use_shadow = !nvme_admin_run(nvme, &command, NULL, 0, WEIR_NVME_NO_DATA, NULL,
					   "Doorbell Buffer Config", NULL);
	nvme->info.shadow_doorbells = nvme->use_shadow;
}

int nvme_start(struct weir_nvme *nvme, struct weir_error *err)
{
	int rc = nvme_enable(nvme, err);

	if (!rc)
		rc = nvme_identify_controller(nvme, err);
	if (!rc)
		rc = request_queues(nvme, err);
	if (!rc)
		rc = nvme_identify_namespaces(nvme, err);
	if (rc)
		return rc;
	configure_shadow_doorbells(nvme);
	configure_events(nvme);
	nvme_admin_request_events(nvme);
	return 0;
}

void nvme_fail(struct weir_nvme *nvme, const struct weir_error *why)
{
	struct weir_nvme_qp *qp;

	if (nvme->state == NVME_FAILED)
		return;
	nvme->state = NVME_FAILED;
	nvme->failure = *why;
	weir_log_write(&nvme->log, WEIR_LOG_ERROR, "NVMe controller failed: %s", why->text);
	if (!weir_device_gone(nvme->dev)) {
		nvme_dump(nvme);
		/* Owners get their buffers back next: it must not touch them any more. */
		weir_device_bus_master(nvme->dev, 0, NULL);
	}
	TAILQ_FOREACH (qp, &nvme->qps, link)
		nvme_qp_set_control(qp, NVME_QP_DEAD);
}

static int create_on(struct weir_nvme *nvme, struct weir_error *err)
{
	struct weir_device_info device;
	int rc;

	weir_device_info(nvme->dev, &device);
	if (device.class_code != PCI_CLASS_NVME)
		return weir_error_set(err, -EINVAL,
				      "%s is no NVMe controller: its class code is %06" PRIx32
				      ", not %06x",
				      device.address, device.class_code, PCI_CLASS_NVME);
	if (weir_device_region_bytes(nvme->dev, WEIR_REGION_BAR0) < NVME_REG_DOORBELLS + 16)
		return weir_error_set(err, -EPROTO, "BAR 0 has %" PRIu64 " bytes, less than %u",
				      weir_device_region_bytes(nvme->dev, WEIR_REGION_BAR0),
				      NVME_REG_DOORBELLS + 16);
	rc = nvme_read_caps(nvme, err);
	if (rc)
		return rc;
	nvme->info.doorbells_mapped = weir_device_bar(nvme->dev, 0, NVME_REG_DOORBELLS,
						      2 * nvme->doorbell_stride) != NULL;
	rc = nvme_admin_alloc(nvme, err);
	if (!rc)
		rc = nvme_disable(nvme, err);
	if (!rc)
		rc = nvme_start(nvme, err);
	if (!rc && nvme->options.interrupts)
		rc = nvme_vectors_bind(nvme, err);
	return rc;
}

/* Frees what create_on() made. The controller does not use it any more. */
static void release(struct weir_nvme *nvme)
{
	nvme_vectors_release(nvme);
	nvme_admin_free(nvme);
	weir_arena_free(nvme->arena, nvme->shadow);
	weir_arena_free(nvme->arena, nvme->shadow_event);
	nvme_free(nvme);
}

WEIR_EXPORT int weir_nvme_create(struct weir_device *dev, struct weir_arena *arena,
				 const struct weir_nvme_options *from, struct weir_nvme **out,
				 struct weir_error *err)
{
	struct weir_nvme_options options;
	struct weir_nvme *nvme;
	int rc;

	rc = nvme_options_check(&options, from, err);
	if (rc)
		return rc;
	if (!weir_ioas_find_arena(weir_device_ioas(dev), arena))
		return weir_error_set(err, -EINVAL, "the arena is not mapped in the device's IOAS");
	nvme = nvme_alloc(dev, arena, &options);
	if (!nvme)
		return weir_error_set(err, -ENOMEM, "no memory for a controller");
	rc = create_on(nvme, err);
	if (rc) {
		/* Whatever it was doing, its queues go now. */
		if (!weir_device_gone(dev)) {
			nvme_disable(nvme, NULL);
			weir_device_bus_master(dev, 0, NULL);
		}
		release(nvme);
		return rc;
	}
	*out = nvme;
	return 0;
}

/* Base §3.6.1: normal shutdown, waited for as long as RTD3E says. */
static void shut_down(struct weir_nvme *nvme)
{
	struct weir_error err;
	uint32_t cc;

	if (weir_device_read32(nvme->dev, 0, NVME_REG_CC, &cc))
		return;
	cc = (cc & ~NVME_CC_SHN_MASK) | NVME_CC_SHN_NORMAL;
	if (weir_device_write32(nvme->dev, 0, NVME_REG_CC, cc))
		return;
	if (wait_status(nvme, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_COMPLETE, nvme->shutdown_ms,
			"shut down", &err))
		weir_log_write(&nvme->log, WEIR_LOG_WARN, "%s", err.text);
}

WEIR_EXPORT void weir_nvme_close(struct weir_nvme *nvme)
{
	struct own own;

	if (!nvme)
		return;
	nvme_blocking_end(nvme);
	while (!TAILQ_EMPTY(&nvme->qps))
		weir_nvme_qp_destroy(TAILQ_FIRST(&nvme->qps));
	if (nvme->state == NVME_LIVE && !weir_device_gone(nvme->dev))
		shut_down(nvme);
	if (!weir_device_gone(nvme->dev))
		weir_device_bus_master(nvme->dev, 0, NULL);

	own = nvme->own;
	release(nvme);
	own_close(&own);
}

WEIR_EXPORT void weir_nvme_info(const struct weir_nvme *nvme, struct weir_nvme_info *info)
{
	*info = nvme->info;
}

WEIR_EXPORT struct weir_device *weir_nvme_device(const struct weir_nvme *nvme)
{
	return nvme->dev;
}

WEIR_EXPORT struct weir_arena *weir_nvme_arena(const struct weir_nvme *nvme)
{
	return nvme->arena;
}
