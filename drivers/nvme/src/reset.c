/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reset of a controller whose queue pairs have several owners.
 *
 * The control side stops the controller first; from then on nothing changes in the queues. It then
 * sets every queue pair to QUIESCE. Each owner finds that in its next poll, takes what was
 * completed, returns the rest as aborted, and sets PARKED: a promise not to touch the queues. Only
 * when all are parked are the queues cleared and made anew, and set LIVE. An owner that does not
 * poll holds the reset up, never memory that it may be using.
 */
#include "nvme.h"

static void set_control(struct weir_nvme *nvme, enum nvme_qp_control control)
{
	struct weir_nvme_qp *qp;

	TAILQ_FOREACH (qp, &nvme->qps, link)
		nvme_qp_set_control(qp, control);
}

/* Stops the controller: its own way, else by a function reset. */
static int stop(struct weir_nvme *nvme, struct weir_error *err)
{
	int rc = nvme_disable(nvme, err);

	if (!rc || rc == -ENODEV)
		return rc;
	rc = weir_device_reset(nvme->dev, err);
	return rc ? rc : nvme_disable(nvme, err);
}

/* The controller is failed for good. -ETIMEDOUT is left to weir_nvme_reset(), where it means that a
 * call may be repeated. */
static int fail_reset(struct weir_nvme *nvme, struct weir_error *why, struct weir_error *err)
{
	if (why->code == -ETIMEDOUT)
		why->code = -EIO;
	nvme_fail(nvme, why);
	if (err)
		*err = *why;
	return why->code;
}

WEIR_EXPORT int weir_nvme_reset_begin(struct weir_nvme *nvme, struct weir_error *err)
{
	struct weir_error why;
	int rc = 0;

	pthread_mutex_lock(&nvme->lock);
	if (nvme->state == NVME_FAILED) {
		rc = weir_error_set(err, -ENODEV, "%s", nvme->failure.text);
	} else if (nvme->state == NVME_RESETTING) {
		rc = weir_error_set(err, -EALREADY, "a reset is under way");
	} else {
		rc = stop(nvme, &why);
		if (rc) {
			rc = fail_reset(nvme, &why, err);
		} else {
			nvme->state = NVME_RESETTING;
			set_control(nvme, NVME_QP_QUIESCE);
		}
	}
	pthread_mutex_unlock(&nvme->lock);
	return rc;
}

/* The controller is stopped and every owner has parked: everything anew. */
static int bring_up(struct weir_nvme *nvme, struct weir_error *err)
{
	struct weir_nvme_qp *qp;
	int rc;

	rc = nvme_start(nvme, err);
	if (rc)
		return rc;
	nvme_cmb_restore(nvme);
	TAILQ_FOREACH (qp, &nvme->qps, link) {
		if (qp->qid > nvme->queues)
			return weir_error_set(
				err, -EIO,
				"the controller grants %u queue pairs after the reset, queue %u is in use",
				nvme->queues, qp->qid);
		rc = nvme_qp_clear(qp, err);
		if (!rc)
			rc = nvme_qp_connect(qp, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int finish_locked(struct weir_nvme *nvme, struct weir_error *err)
{
	struct weir_nvme_qp *qp;
	struct weir_error why;
	int rc;

	if (nvme->state == NVME_FAILED)
		return weir_error_set(err, -ENODEV, "%s", nvme->failure.text);
	if (nvme->state != NVME_RESETTING)
		return weir_error_set(err, -EINVAL, "no reset was begun");
	TAILQ_FOREACH (qp, &nvme->qps, link) {
		if (atomic_load_explicit(&qp->control, memory_order_acquire) != NVME_QP_PARKED)
			return weir_error_set(
				err, -EAGAIN,
				"the owner of queue %u has not polled since the reset began",
				qp->qid);
	}
	rc = bring_up(nvme, &why);
	if (rc)
		return fail_reset(nvme, &why, err);
	nvme->state = NVME_LIVE;
	atomic_store(&nvme->reset_needed, false);
	nvme->reset_reported = false;
	set_control(nvme, NVME_QP_LIVE);
	return 0;
}

WEIR_EXPORT int weir_nvme_reset_finish(struct weir_nvme *nvme, struct weir_error *err)
{
	int rc;

	nvme_blocking_park(nvme);
	pthread_mutex_lock(&nvme->lock);
	rc = finish_locked(nvme, err);
	pthread_mutex_unlock(&nvme->lock);
	return rc;
}

static int begin(void *nvme, struct weir_error *err)
{
	return weir_nvme_reset_begin(nvme, err);
}

static int finish(void *nvme, struct weir_error *err)
{
	return weir_nvme_reset_finish(nvme, err);
}

WEIR_EXPORT int weir_nvme_reset(struct weir_nvme *nvme, unsigned int timeout_ms,
				struct weir_error *err)
{
	static const struct own_reset how = { .begin = begin, .finish = finish };

	return own_reset(&how, nvme, timeout_ms, err);
}
