/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events: pulled by the owner, announced by one epoll descriptor that holds the transport's own,
 * the eventfds of the error and request interrupts, and one that this process raises itself.
 */
#include <assert.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "device/transport.h"

#define MAX_DEAD 16

static const struct {
	unsigned int kind;
	enum weir_event_type type;
} notifications[] = {
	{ WEIR_IRQ_ERROR, WEIR_EVENT_ERROR },
	{ WEIR_IRQ_REQUEST, WEIR_EVENT_REMOVE_REQUEST },
};
static_assert(ARRAY_SIZE(notifications) == ARRAY_SIZE(((struct weir_device *)NULL)->notify_fds),
	      "one eventfd each");

static int watch(struct weir_device *dev, int fd, struct weir_error *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (fd < 0 || !epoll_ctl(dev->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return 0;
	return weir_error_set(err, -errno, "%s: cannot watch descriptor %d: %s", dev->address, fd,
			      strerror(errno));
}

static void unwatch(struct weir_device *dev, int fd)
{
	if (fd >= 0)
		epoll_ctl(dev->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int events_adopt(struct weir_device *dev, struct weir_error *err)
{
	int ret = watch(dev, dev->transport->event_fd(dev), err);

	for (size_t i = 0; i < ARRAY_SIZE(notifications) && !ret; i++)
		ret = watch(dev, dev->notify_fds[i], err);
	return ret;
}

/* A device that refuses to notify us is used all the same: it can still vanish without asking. */
static int bind_notification(struct weir_device *dev, size_t i, struct weir_error *err)
{
	struct weir_error why;
	int fd, ret;

	if (!weir_irq_count(dev, notifications[i].kind))
		return 0;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return weir_error_set(err, -errno, "%s: cannot make an eventfd: %s", dev->address,
				      strerror(errno));
	ret = dev->transport->bind_irqs(dev, notifications[i].kind, 0, 1, &fd, &why);
	if (!ret) {
		dev->notify_fds[i] = fd;
		return 0;
	}
	close(fd);
	if (device_is_gone(dev))
		return weir_error_set(err, ret, "%s", why.text);
	weir_log_write(&dev->log, WEIR_LOG_DEBUG, "%s: interrupt kind %u not bound: %s",
		       dev->address, notifications[i].kind, why.text);
	return 0;
}

int events_open(struct weir_device *dev, struct weir_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(notifications); i++) {
		int ret = bind_notification(dev, i, err);

		if (ret)
			return ret;
	}
	return events_adopt(dev, err);
}

static bool take_eventfd(int fd)
{
	uint64_t value;

	return fd >= 0 && read(fd, &value, sizeof(value)) == sizeof(value);
}

static unsigned int take_notifications(struct weir_device *dev, struct weir_event *events,
				       unsigned int max)
{
	unsigned int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(notifications) && count < max; i++) {
		if (take_eventfd(dev->notify_fds[i]))
			events[count++] = (struct weir_event){ .type = notifications[i].type };
	}
	return count;
}

static unsigned int take_dead_mappings(struct weir_device *dev, struct weir_event *events,
				       unsigned int max)
{
	uint64_t iovas[MAX_DEAD];
	unsigned int count;

	count = dev->transport->take_dead(dev, iovas, max < MAX_DEAD ? max : MAX_DEAD);
	for (unsigned int i = 0; i < count; i++)
		events[i] = (struct weir_event){ .type = WEIR_EVENT_MAPPING_DEAD,
						 .iova = iovas[i] };
	return count;
}

/* The end is told once; after it nothing wakes anybody, the fault guard neither. */
static void take_gone(struct weir_device *dev, struct weir_event *event)
{
	int error = atomic_load(&dev->gone_error);

	*event = (struct weir_event){ .type = WEIR_EVENT_GONE, .error = error ? error : -ENODEV };
	dev->gone_reported = true;
	unwatch(dev, dev->transport->event_fd(dev));
	for (size_t i = 0; i < ARRAY_SIZE(notifications); i++)
		unwatch(dev, dev->notify_fds[i]);
	unwatch(dev, dev->kick_fd);
}

WEIR_EXPORT int weir_device_events(struct weir_device *dev, struct weir_event *events,
				   unsigned int max)
{
	unsigned int count;

	if (dev->gone_reported)
		return -ENODEV;
	(void)take_eventfd(dev->kick_fd);
	if (!device_is_gone(dev))
		dev->transport->serve(dev);
	count = take_notifications(dev, events, max);
	count += take_dead_mappings(dev, events + count, max - count);
	if (device_is_gone(dev) && count < max)
		take_gone(dev, &events[count++]);
	/* What found no room is asked for again. */
	if ((device_is_gone(dev) && !dev->gone_reported) || (max && count == max))
		device_kick(dev);
	return (int)count;
}

WEIR_EXPORT int weir_device_event_fd(const struct weir_device *dev)
{
	return dev->epoll_fd;
}
