/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a device: open, describe, close. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/transport.h"

#define DEFAULT_TIMEOUT_MS 5000
#define MAX_TIMEOUT_MS 600000

static int copy_options(struct weir_device_options *ours, const struct weir_device_options *options,
			struct weir_error *err)
{
	int ret;

	*ours = (struct weir_device_options)WEIR_DEVICE_OPTIONS_INIT;
	ret = weir_options_copy(ours, sizeof(*ours), options, "weir_device_options", err);
	if (ret)
		return ret;
	if (ours->reserved)
		return weir_error_set(err, -EINVAL, "weir_device_options.reserved is %u, not 0",
				      ours->reserved);
	if (ours->timeout_ms > MAX_TIMEOUT_MS)
		return weir_error_set(err, -EINVAL, "timeout_ms %u is over %u", ours->timeout_ms,
				      MAX_TIMEOUT_MS);
	if (!ours->timeout_ms)
		ours->timeout_ms = DEFAULT_TIMEOUT_MS;
	return 0;
}

static int open_event_fds(struct weir_device *dev, struct weir_error *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	dev->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	dev->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (dev->epoll_fd < 0 || dev->kick_fd < 0 ||
	    epoll_ctl(dev->epoll_fd, EPOLL_CTL_ADD, dev->kick_fd, &event))
		return weir_error_set(err, -errno, "%s: cannot make its event descriptor: %s",
				      dev->address, strerror(errno));
	return 0;
}

int device_new(const char *address, struct weir_ioas *ioas,
	       const struct weir_device_options *options, struct weir_device **dev,
	       struct weir_error *err)
{
	struct weir_device_options ours;
	struct weir_device *d;
	int ret = copy_options(&ours, options, err);

	if (ret)
		return ret;
	d = calloc(1, sizeof(*d));
	if (!d)
		return weir_error_set(err, -ENOMEM, "%s: no memory", address);
	pthread_mutex_init(&d->config_lock, NULL);
	d->epoll_fd = d->kick_fd = -1;
	d->node = WEIR_NODE_ANY;
	for (size_t i = 0; i < ARRAY_SIZE(d->notify_fds); i++)
		d->notify_fds[i] = -1;
	for (unsigned int i = 0; i < DEVICE_MAX_REGIONS; i++)
		d->regions[i].fd = -1;
	d->timeout_ms = ours.timeout_ms;
	d->log = ours.log;
	d->ioas = ioas;
	d->address = strdup(address);
	if (!d->address) {
		ret = weir_error_set(err, -ENOMEM, "%s: no memory", address);
		goto free;
	}
	ret = open_event_fds(d, err);
	if (!ret)
		ret = transport_choose(address, ours.transport, &d->transport, err);
	if (ret)
		goto free;
	*dev = d;
	return 0;

free:
	device_free(d);
	return ret;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void device_free(struct weir_device *dev)
{
	regions_release(dev);
	for (size_t i = 0; i < ARRAY_SIZE(dev->notify_fds); i++)
		close_fd(dev->notify_fds[i]);
	close_fd(dev->kick_fd);
	close_fd(dev->epoll_fd);
	pthread_mutex_destroy(&dev->config_lock);
	free(dev->address);
	free(dev);
}

int device_start(struct weir_device *dev, struct weir_error *err)
{
	int ret = regions_map(dev, err);

	if (!ret)
		ret = config_describe(dev, err);
	if (!ret)
		ret = dev->transport->attach(dev, false, err);
	if (!ret)
		ret = events_open(dev, err);
	return ret;
}

WEIR_EXPORT int weir_device_open(const char *address, struct weir_ioas *ioas,
				 const struct weir_device_options *options,
				 struct weir_device **dev, struct weir_error *err)
{
	struct weir_device *d;
	int ret = device_new(address, ioas, options, &d, err);

	if (ret)
		return ret;
	ret = d->transport->open(d, err);
	if (ret)
		goto free;
	ret = device_start(d, err);
	if (ret)
		goto close;
	*dev = d;
	return 0;

close:
	d->transport->close(d, false);
free:
	device_free(d);
	return ret;
}

WEIR_EXPORT void weir_device_close(struct weir_device *dev)
{
	if (!dev)
		return;
	dev->transport->close(dev, false);
	device_free(dev);
}

WEIR_EXPORT void weir_device_abandon(struct weir_device *dev)
{
	if (!dev)
		return;
	dev->transport->close(dev, true);
	device_free(dev);
}

WEIR_EXPORT void weir_device_info(const struct weir_device *dev, struct weir_device_info *info)
{
	*info = (struct weir_device_info){
		.address = dev->address,
		.transport = dev->transport->name,
		.vendor_id = dev->ids.vendor_id,
		.device_id = dev->ids.device_id,
		.subsystem_vendor_id = dev->ids.subsystem_vendor_id,
		.subsystem_id = dev->ids.subsystem_id,
		.class_code = dev->ids.class_code,
		.revision = (uint8_t)dev->ids.revision,
		.reset = dev->can_reset,
		.node = dev->node,
		.nr_regions = dev->nr_regions,
		.nr_irqs = dev->nr_irqs,
	};
}

WEIR_EXPORT struct weir_ioas *weir_device_ioas(const struct weir_device *dev)
{
	return dev->ioas;
}

WEIR_EXPORT int weir_device_reset(struct weir_device *dev, struct weir_error *err)
{
	if (device_is_gone(dev))
		return device_gone_error(dev, err);
	if (!dev->can_reset)
		return weir_error_set(err, -EOPNOTSUPP, "%s has no reset", dev->address);
	return dev->transport->reset(dev, err);
}
