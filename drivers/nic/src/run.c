/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting, stopping and resetting a port whose queues have several owners.
 *
 * The control side halts the device first: it is no bus master any more, and from then on nothing
 * changes in the queues, also when an owner that is inside a call tells the device of more. It then
 * sets every queue to QUIESCE, and only then resets the device: while a device is in its reset no
 * call that begins reaches for it. Each owner finds QUIESCE in its next call, takes what was
 * completed, then the rest, and sets PARKED: a promise not to touch the queue. Only when all are
 * parked is the device set up anew, and the queues set LIVE. An owner that does not call holds the
 * start up, never memory that it may be using.
 */
#include "nic.h"

void nic_set_control(struct weir_nic *nic, enum nic_control control)
{
	for (unsigned int i = 0; i < nic->info.rx_queues; i++) {
		atomic_store_explicit(&nic->rxqs[i]->control, control, memory_order_release);
		nic_wake(nic->rxqs[i]);
	}
	for (unsigned int i = 0; i < nic->info.tx_queues; i++)
		atomic_store_explicit(&nic->txqs[i]->control, control, memory_order_release);
}

static int start_locked(struct weir_nic *nic, struct weir_error *err)
{
	int rc = nic_usable(nic, err);

	if (rc)
		return rc;
	if (nic->state == NIC_STARTED)
		return weir_error_set(err, -EALREADY, "%s is started", nic->info.address);
	if (!nic->configured)
		return weir_error_set(err, -EINVAL, "%s is not configured", nic->info.address);
	rc = nic_all_parked(nic, err);
	if (rc)
		return rc;
	rc = weir_device_bus_master(nic->dev, 1, err);
	if (!rc)
		rc = nic->driver->start(nic, err);
	if (rc) {
		struct weir_error why;

		if (nic->driver->stop(nic, &why))
			nic_fail(nic, &why);
		return nic_result(nic, rc, err);
	}
	nic->state = NIC_STARTED;
	atomic_store(&nic->reset_needed, false);
	nic->reset_reported = false;
	nic_set_control(nic, NIC_LIVE);
	return 0;
}

WEIR_EXPORT int weir_nic_start(struct weir_nic *nic, struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = start_locked(nic, err);
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

static int stop_locked(struct weir_nic *nic, struct weir_error *err)
{
	struct weir_error why;
	int rc = nic_usable(nic, err);

	if (rc || nic->state == NIC_STOPPED)
		return rc;
	rc = nic->driver->halt(nic, &why);
	if (!rc) {
		nic_set_control(nic, NIC_QUIESCE);
		rc = nic->driver->stop(nic, &why);
	}
	if (rc) {
		nic_fail(nic, &why);
		if (err)
			*err = why;
		return rc;
	}
	nic->state = NIC_STOPPED;
	nic_link_lost(nic);
	return 0;
}

WEIR_EXPORT int weir_nic_stop(struct weir_nic *nic, struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = stop_locked(nic, err);
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

static int begin_reset(void *nic, struct weir_error *err)
{
	return weir_nic_stop(nic, err);
}

static int finish_reset(void *nic, struct weir_error *err)
{
	return weir_nic_start(nic, err);
}

WEIR_EXPORT int weir_nic_reset(struct weir_nic *nic, unsigned int timeout_ms,
			       struct weir_error *err)
{
	static const struct own_reset how = { .begin = begin_reset, .finish = finish_reset };

	return own_reset(&how, nic, timeout_ms, err);
}
