/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PCI functions that come and go, by the kernel's uevents. A socket in the kernel's multicast group
 * gets every message that the kernel sends; nothing else is done with it, so that what one program
 * takes nobody else misses.
 */
#include "device/hotplug.h"

#include <inttypes.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/transport.h"

#define KERNEL_GROUP 1 /* of NETLINK_KOBJECT_UEVENT; udev sends to another */
#define BUFFER_BYTES (1 << 20)

struct weir_hotplug {
	int fd;
};

static const struct {
	const char *action;
	enum weir_hotplug_type type;
} actions[] = {
	{ "add", WEIR_HOTPLUG_ADDED },
	{ "remove", WEIR_HOTPLUG_REMOVED },
	{ "bind", WEIR_HOTPLUG_BOUND },
	{ "unbind", WEIR_HOTPLUG_UNBOUND },
};

/* Copies a string that has to fit. */
static bool copy(char *to, size_t room, const char *from, size_t length)
{
	if (length >= room)
		return false;
	memcpy(to, from, length);
	to[length] = '\0';
	return true;
}

/* One string of a message, of which not all that came need have a NUL. */
static bool take(struct weir_hotplug_event *event, bool *is_pci, const char *string, size_t length)
{
	char text[128];
	const char *value;

	/* What is longer is a path or an alias. */
	if (!copy(text, sizeof(text), string, length))
		return true;
	value = strchr(text, '=');
	if (!value)
		return true;
	value++;
	length -= (size_t)(value - text);
	if (!strncmp(text, "ACTION=", 7)) {
		for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
			if (!strcmp(value, actions[i].action))
				event->type = actions[i].type;
		}
	} else if (!strncmp(text, "SUBSYSTEM=", 10)) {
		*is_pci = !strcmp(value, "pci");
	} else if (!strncmp(text, "PCI_SLOT_NAME=", 14)) {
		return transport_is_pci(value) &&
		       copy(event->address, sizeof(event->address), value, length);
	} else if (!strncmp(text, "PCI_CLASS=", 10)) {
		return sscanf(value, "%6" SCNx32, &event->class_code) == 1;
	} else if (!strncmp(text, "PCI_ID=", 7)) {
		return sscanf(value, "%4" SCNx16 ":%4" SCNx16, &event->vendor_id,
			      &event->device_id) == 2;
	} else if (!strncmp(text, "DRIVER=", 7)) {
		return copy(event->driver, sizeof(event->driver), value, length);
	}
	return true;
}

bool hotplug_parse(const char *message, size_t bytes, struct weir_hotplug_event *event)
{
	bool is_pci = false;
	size_t length;

	*event = (struct weir_hotplug_event){ 0 };
	for (size_t at = 0; at < bytes; at += length + 1) {
		length = strnlen(message + at, bytes - at);
		if (!take(event, &is_pci, message + at, length))
			return false;
	}
	/* A function that is removed may still name the driver that it had. */
	if (event->type != WEIR_HOTPLUG_BOUND)
		memset(event->driver, 0, sizeof(event->driver));
	return is_pci && event->type && event->address[0];
}

WEIR_EXPORT int weir_hotplug_open(struct weir_hotplug **hotplug, struct weir_error *err)
{
	const struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	const int room = BUFFER_BYTES;
	struct weir_hotplug *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return weir_error_set(err, -ENOMEM, "no memory for a watch of PCI functions");
	new->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			 NETLINK_KOBJECT_UEVENT);
	if (new->fd < 0) {
		ret = weir_error_set(err, -errno, "no netlink socket for the kernel's events: %s",
				     strerror(errno));
		goto free;
	}
	/* Less room than that loses messages sooner, and says so. */
	setsockopt(new->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(new->fd, (const struct sockaddr *)&group, sizeof(group))) {
		ret = weir_error_set(err, -errno, "the kernel's events cannot be listened to: %s",
				     strerror(errno));
		goto close;
	}
	*hotplug = new;
	return 0;

close:
	close(new->fd);
free:
	free(new);
	return ret;
}

WEIR_EXPORT void weir_hotplug_close(struct weir_hotplug *hotplug)
{
	if (!hotplug)
		return;
	close(hotplug->fd);
	free(hotplug);
}

WEIR_EXPORT int weir_hotplug_fd(const struct weir_hotplug *hotplug)
{
	return hotplug->fd;
}

/* Takes one message. 1: *event is one; 0: the message is about something else; -EAGAIN: there is
 * none. */
static int take_message(const struct weir_hotplug *hotplug, struct weir_hotplug_event *event)
{
	char message[HOTPLUG_MESSAGE_BYTES];
	struct iovec piece = { .iov_base = message, .iov_len = sizeof(message) };
	struct sockaddr_nl from = { 0 };
	struct msghdr header = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &piece,
		.msg_iovlen = 1,
	};
	ssize_t bytes = recvmsg(hotplug->fd, &header, 0);

	if (bytes < 0 && errno == ENOBUFS) {
		*event = (struct weir_hotplug_event){ .type = WEIR_HOTPLUG_MISSED };
		return 1;
	}
	if (bytes < 0)
		return errno == EINTR ? 0 : -errno;
	/* Any process may send to this socket; only the kernel is number 0. */
	if (from.nl_pid || header.msg_flags & MSG_TRUNC)
		return 0;
	return hotplug_parse(message, (size_t)bytes, event);
}

WEIR_EXPORT int weir_hotplug_events(struct weir_hotplug *hotplug, struct weir_hotplug_event *events,
				    unsigned int max)
{
	unsigned int count = 0;

	while (count < max) {
		int ret = take_message(hotplug, &events[count]);

		if (ret == -EAGAIN)
			break;
		/* What was taken is told first; an error that stays is found again. */
		if (ret < 0)
			return count ? (int)count : ret;
		count += (unsigned int)ret;
	}
	return (int)count;
}
