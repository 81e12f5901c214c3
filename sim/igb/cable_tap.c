/* SPDX-License-Identifier: BSD-3-Clause */
/* A cable to a TAP device of the kernel: one frame a read or write. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "igb/cable.h"
#include "igb/spec.h"

#define TUN_DEVICE "/dev/net/tun"
/* Frames of one turn: so many for one interrupt and one look at the other direction. */
#define BURST 64u

struct tap_cable {
	struct sim_cable cable;
	int fd;
	uint8_t out[CABLE_MAX_FRAME];
	uint8_t dropped[CABLE_MAX_FRAME];
};

static struct tap_cable *tap_of(struct sim_cable *cable)
{
	return container_of(cable, struct tap_cable, cable);
}

static uint8_t *tap_room(struct sim_cable *cable, uint32_t bytes)
{
	(void)bytes;
	return tap_of(cable)->out;
}

/* A device that is down refuses frames; they are lost as on a cable that nobody holds the other end
 * of. */
static void tap_send(struct sim_cable *cable, uint32_t bytes, uint32_t flags)
{
	struct tap_cable *tap = tap_of(cable);
	ssize_t written;

	if (flags & CABLE_BAD_FCS)
		return;
	do {
		written = write(tap->fd, tap->out, bytes);
	} while (written < 0 && errno == EINTR);
}

/* The kernel's frames may be shorter than Ethernet's shortest, which a cable never carries. */
static uint32_t pad(uint8_t *frame, uint32_t bytes)
{
	if (bytes >= IGB_MIN_FRAME)
		return bytes;
	memset(frame + bytes, 0, IGB_MIN_FRAME - bytes);
	return IGB_MIN_FRAME;
}

/* What the controller does not take in time waits in the kernel's queue, whose length decides what
 * is lost. */
static unsigned int tap_fetch(struct sim_cable *cable)
{
	struct tap_cable *tap = tap_of(cable);
	bool listens = atomic_load_explicit(&cable->buffer->consumer.listens, memory_order_relaxed);
	unsigned int n = 0;

	for (; n < BURST; n++) {
		uint8_t *room = listens ? cable_buffer_room(cable->buffer, CABLE_MAX_FRAME)
					: tap->dropped;
		ssize_t got;

		if (!room)
			break;
		got = read(tap->fd, room, CABLE_MAX_FRAME);
		if (got <= 0)
			break;
		if (listens)
			cable_buffer_add(cable->buffer, pad(room, (uint32_t)got), 0);
	}
	return n;
}

static void tap_destroy(struct sim_cable *cable)
{
	struct tap_cable *tap = tap_of(cable);

	close(tap->fd);
	free(cable->buffer);
	free(tap);
}

static const struct cable_ops tap_ops = {
	.room = tap_room,
	.send = tap_send,
	.fetch = tap_fetch,
	.destroy = tap_destroy,
};

static int open_by_name(const char *name, struct weir_error *err)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	size_t length = strlen(name);
	int fd, rc;

	if (!length || length >= sizeof(request.ifr_name))
		return weir_error_set(err, -EINVAL,
				      "TAP device \"%s\": a name has 1 to %zu characters", name,
				      sizeof(request.ifr_name) - 1);
	memcpy(request.ifr_name, name, length);
	fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return weir_error_set(err, -errno, "%s: %s", TUN_DEVICE, strerror(errno));
	if (ioctl(fd, TUNSETIFF, &request)) {
		rc = weir_error_set(err, -errno, "TAP device %s: %s", name, strerror(errno));
		close(fd);
		return rc;
	}
	return fd;
}

/* Whether frames go through it as they are. That it has IFF_NO_PI the kernel does not tell:
 * TUNGETIFF has another flag in the same bit. */
static int check_descriptor(int fd, struct weir_error *err)
{
	struct ifreq request = { 0 };
	int flags;

	if (ioctl(fd, TUNGETIFF, &request))
		return weir_error_set(err, -EINVAL, "descriptor %d is no TAP device's: %s", fd,
				      strerror(errno));
	if (!(request.ifr_flags & IFF_TAP) || request.ifr_flags & IFF_VNET_HDR)
		return weir_error_set(err, -EINVAL,
				      "descriptor %d has flags 0x%x: IFF_TAP is needed, without "
				      "IFF_VNET_HDR",
				      fd, (unsigned int)(uint16_t)request.ifr_flags);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return weir_error_set(err, -errno, "descriptor %d: %s", fd, strerror(errno));
	return fd;
}

int sim_cable_tap(const char *name, int fd, struct sim_cable **cable, struct weir_error *err)
{
	struct tap_cable *tap;
	struct cable_buffer *buffer;
	int opened;

	if (!name == (fd < 0))
		return weir_error_set(err, -EINVAL, "a TAP device has a name or a descriptor");
	opened = name ? open_by_name(name, err) : check_descriptor(fd, err);
	if (opened < 0)
		return opened;
	tap = calloc(1, sizeof(*tap));
	buffer = cable_buffer_create();
	if (!tap || !buffer) {
		free(tap);
		free(buffer);
		if (name)
			close(opened);
		return weir_error_set(err, -ENOMEM, "no memory for a cable");
	}
	tap->cable = (struct sim_cable){ .ops = &tap_ops, .buffer = buffer };
	tap->fd = opened;
	*cable = &tap->cable;
	return 0;
}
