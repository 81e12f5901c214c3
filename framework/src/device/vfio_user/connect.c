/* SPDX-License-Identifier: BSD-3-Clause */
/* Connecting to a server's socket. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "device/holder.h"
#include "device/vfio_user/client.h"

/* A server whose queue of connections is full is asked again this often. */
#define RETRY_NS 5000000

static int describe_failure(const struct weir_device *dev, int ret, struct weir_error *err)
{
	switch (ret) {
	case -ENOENT:
	case -ENOTDIR:
		return weir_error_set(err, -ENOENT, "%s: there is no such socket", dev->address);
	case -ECONNREFUSED:
		return weir_error_set(err, ret, "%s: nobody serves that socket", dev->address);
	case -EPERM:
	case -EACCES:
		return weir_error_set(err, -EACCES, "%s: no right to connect to that socket",
				      dev->address);
	default:
		return weir_error_set(err, ret, "%s: cannot connect: %s", dev->address,
				      strerror(-ret));
	}
}

static int queue_is_full(const struct weir_device *dev, int fd, struct weir_error *err)
{
	char holder[HOLDER_TEXT];

	if (holder_of_socket(client_path(dev), fd, holder))
		return weir_error_set(err, -EBUSY, "%s is held by %s", dev->address, holder);
	return weir_error_set(err, -ETIMEDOUT, "%s: the server did not accept for %u ms",
			      dev->address, dev->timeout_ms);
}

int client_connect(struct weir_device *dev, int *fd, struct weir_error *err)
{
	uint64_t deadline = weir_now_ns() + (uint64_t)dev->timeout_ms * 1000000u;
	const struct timespec pause = { .tv_nsec = RETRY_NS };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = client_path(dev);
	int s, ret;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return weir_error_set(err, -EINVAL,
				      "%s: a socket's path has 1 to %zu bytes, not %zu",
				      dev->address, sizeof(address.sun_path) - 1, strlen(path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return describe_failure(dev, -errno, err);
	while (connect(s, (const struct sockaddr *)&address, sizeof(address))) {
		ret = -errno;
		if (ret != -EAGAIN && ret != -EINTR) {
			ret = describe_failure(dev, ret, err);
			goto close;
		}
		if (weir_now_ns() >= deadline) {
			ret = queue_is_full(dev, s, err);
			goto close;
		}
		nanosleep(&pause, NULL);
	}
	*fd = s;
	return 0;

close:
	close(s);
	return ret;
}
