/* SPDX-License-Identifier: BSD-3-Clause */
/* A port's life: finding its driver, creating, failing, closing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "nic.h"

#define DEFAULT_ARENA_BYTES (UINT64_C(64) << 20)

static const struct nic_driver *const drivers[] = { &igb_driver };

int nic_options_check(struct weir_nic_options *options, const struct weir_nic_options *from,
		      struct weir_error *err)
{
	int rc;

	*options = (struct weir_nic_options)WEIR_NIC_OPTIONS_INIT;
	rc = weir_options_copy(options, sizeof(*options), from, "port options", err);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < sizeof(options->reserved); i++) {
		if (options->reserved[i])
			return weir_error_set(err, -EINVAL, "port options: reserved is %u, not 0",
					      options->reserved[i]);
	}
	if (options->interrupts > 1)
		return weir_error_set(err, -EINVAL, "port options: interrupts is %u, not 0 or 1",
				      options->interrupts);
	if (!options->arena_bytes)
		options->arena_bytes = DEFAULT_ARENA_BYTES;
	return 0;
}

static int find_driver(struct weir_device *dev, const struct nic_driver **driver,
		       struct weir_error *err)
{
	struct weir_device_info device;

	weir_device_info(dev, &device);
	for (unsigned int i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (drivers[i]->matches(&device)) {
			*driver = drivers[i];
			return 0;
		}
	}
	return weir_error_set(
		err, -EOPNOTSUPP, "no network driver for %s, device %04x:%04x of class %06" PRIx32,
		device.address, device.vendor_id, device.device_id, device.class_code);
}

static struct weir_nic *port_alloc(struct weir_device *dev, struct weir_arena *arena,
				   const struct weir_nic_options *options,
				   const struct nic_driver *driver)
{
	struct weir_nic *nic = aligned_alloc(WEIR_CACHE_PAIR,
					     weir_align_up(driver->port_bytes, WEIR_CACHE_PAIR));
	struct weir_device_info device;

	if (!nic)
		return NULL;
	memset(nic, 0, driver->port_bytes);
	weir_device_info(dev, &device);
	nic->driver = driver;
	nic->queue_ops = driver->queue;
	nic->dev = dev;
	nic->arena = arena;
	nic->options = *options;
	nic->log = options->log;
	nic->event_fd = -1;
	nic->info.address = device.address;
	nic->info.driver = driver->name;
	pthread_mutex_init(&nic->lock, NULL);
	return nic;
}

static void port_free(struct weir_nic *nic)
{
	free(nic->filters);
	pthread_mutex_destroy(&nic->lock);
	free(nic);
}

WEIR_EXPORT int weir_nic_create(struct weir_device *dev, struct weir_arena *arena,
				const struct weir_nic_options *from, struct weir_nic **out,
				struct weir_error *err)
{
	const struct nic_driver *driver;
	struct weir_nic_options options;
	struct weir_nic *nic;
	int rc;

	rc = nic_options_check(&options, from, err);
	if (!rc)
		rc = find_driver(dev, &driver, err);
	if (rc)
		return rc;
	if (!weir_ioas_find_arena(weir_device_ioas(dev), arena))
		return weir_error_set(err, -EINVAL, "the arena is not mapped in the device's IOAS");
	nic = port_alloc(dev, arena, &options, driver);
	if (!nic)
		return weir_error_set(err, -ENOMEM, "no memory for a port");
	rc = driver->attach(nic, err);
	if (rc)
		goto free_port;
	rc = nic_vectors_bind(nic, err);
	if (rc)
		goto detach;
	*out = nic;
	return 0;

detach:
	nic_vectors_release(nic);
	driver->detach(nic);
free_port:
	port_free(nic);
	return rc;
}

WEIR_EXPORT int weir_nic_open(const char *address, const struct weir_nic_options *from,
			      struct weir_nic **nic, struct weir_error *err)
{
	struct weir_nic_options options;
	struct own_options own_options;
	struct own own;
	int rc;

	rc = nic_options_check(&options, from, err);
	if (rc)
		return rc;
	own_options = (struct own_options){
		.name = "weir-nic",
		.transport = options.transport,
		.arena_bytes = options.arena_bytes,
		.iova_delta = options.iova_delta,
		.log = options.log,
	};
	rc = own_open(address, &own_options, &own, err);
	if (rc)
		return rc;
	rc = weir_nic_create(own.dev, own.arena, &options, nic, err);
	if (rc)
		own_close(&own);
	else
		(*nic)->own = own;
	return rc;
}

WEIR_EXPORT void weir_nic_close(struct weir_nic *nic)
{
	struct own own;

	if (!nic)
		return;
	nic->driver->detach(nic);
	if (!weir_device_gone(nic->dev))
		weir_device_bus_master(nic->dev, 0, NULL);
	nic_vectors_release(nic);
	nic_queues_destroy(nic);
	own = nic->own;
	port_free(nic);
	own_close(&own);
}

void nic_wake(struct nic_queue *queue)
{
	if (queue->fd >= 0)
		eventfd_write(queue->fd, 1);
}

void nic_fail(struct weir_nic *nic, const struct weir_error *why)
{
	if (nic->state == NIC_GONE)
		return;
	nic->state = NIC_GONE;
	nic->failure = *why;
	weir_log_write(&nic->log, WEIR_LOG_ERROR, "%s failed: %s", nic->info.address, why->text);
	if (!weir_device_gone(nic->dev)) {
		nic->driver->dump(nic);
		/* Owners get their frames back next: the device must not touch them any more. */
		weir_device_bus_master(nic->dev, 0, NULL);
	}
	nic_set_control(nic, NIC_DEAD);
}

int nic_usable(struct weir_nic *nic, struct weir_error *err)
{
	struct weir_error why;

	if (nic->state != NIC_GONE && weir_device_gone(nic->dev)) {
		weir_error_set(&why, -ENODEV, "the device is gone");
		nic_fail(nic, &why);
	}
	if (nic->state == NIC_GONE)
		return weir_error_set(err, -ENODEV, "%s", nic->failure.text);
	return 0;
}

int nic_result(struct weir_nic *nic, int rc, struct weir_error *err)
{
	struct weir_error why;

	if (rc == -ENODEV && nic->state != NIC_GONE) {
		weir_error_set(&why, -ENODEV, "the device is gone");
		nic_fail(nic, &why);
		return weir_error_set(err, -ENODEV, "%s", why.text);
	}
	return rc;
}

WEIR_EXPORT void weir_nic_info(const struct weir_nic *nic, struct weir_nic_info *info)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&nic->lock;

	pthread_mutex_lock(lock);
	*info = nic->info;
	pthread_mutex_unlock(lock);
}

WEIR_EXPORT struct weir_device *weir_nic_device(const struct weir_nic *nic)
{
	return nic->dev;
}

WEIR_EXPORT struct weir_arena *weir_nic_arena(const struct weir_nic *nic)
{
	return nic->arena;
}
