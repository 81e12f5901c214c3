/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket's place in the file system.
 *
 * The socket gets its mode before it has a name, so there is no moment at which others could
 * connect. Looking whether an old socket is served, removing it and binding a new one happen under
 * a lock on the directory, so that two servers that start together do not remove each other's.
 */
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "server/server.h"

#define LOCK_TRIES 100
#define BACKLOG 16

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strlen(path));
	return address;
}

/* Returns what to close. Anybody may hold such a lock, so it is not waited for without end. */
static int lock_directory(const char *path, struct weir_error *err)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	char copy[sizeof(((struct listener *)0)->path)];
	const char *directory;
	int fd, rc;

	memcpy(copy, path, strlen(path) + 1);
	directory = dirname(copy);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return weir_error_set(err, -errno, "%s: %m", directory);
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return fd;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		nanosleep(&pause, NULL);
	}
	rc = weir_error_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno, "%s: cannot be locked: %m",
			    directory);
	close(fd);
	return rc;
}

/* Removes a socket that nobody serves. */
static int remove_stale(const char *path, struct weir_error *err)
{
	struct sockaddr_un address = address_of(path);
	struct stat st;
	int fd, rc;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : weir_error_set(err, -errno, "%s: %m", path);
	if (!S_ISSOCK(st.st_mode))
		return weir_error_set(err, -EEXIST, "%s: it exists and is not a socket", path);
	fd = unix_socket();
	if (fd < 0)
		return weir_error_set(err, -errno, "socket: %m");
	rc = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	close(fd);
	/* -EAGAIN: its backlog is full. */
	if (!rc || rc == -EAGAIN)
		return weir_error_set(err, -EADDRINUSE, "%s: another server listens there", path);
	if (rc != -ECONNREFUSED)
		return weir_error_set(err, rc, "%s: %s", path, strerrordesc_np(-rc));
	if (unlink(path) && errno != ENOENT)
		return weir_error_set(err, -errno, "%s: %m", path);
	return 0;
}

static int bind_socket(struct listener *listener, struct weir_error *err)
{
	struct sockaddr_un address = address_of(listener->path);
	struct stat st;
	int fd = unix_socket();
	int rc;

	if (fd < 0)
		return weir_error_set(err, -errno, "socket: %m");
	if (fchmod(fd, S_IRUSR | S_IWUSR) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		rc = weir_error_set(err, -errno, "%s: %m", listener->path);
		goto close_fd;
	}
	if (lstat(listener->path, &st) || listen(fd, BACKLOG)) {
		rc = weir_error_set(err, -errno, "%s: %m", listener->path);
		goto unlink_path;
	}
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	listener->fd = fd;
	return 0;

unlink_path:
	unlink(listener->path);
close_fd:
	close(fd);
	return rc;
}

int listener_open(struct listener *listener, const char *path, struct weir_error *err)
{
	int lock, rc;

	if (!path[0])
		return weir_error_set(err, -EINVAL, "the socket's path is empty");
	if (strlen(path) >= sizeof(listener->path))
		return weir_error_set(err, -ENAMETOOLONG,
				      "the socket's path has %zu bytes, over the limit of %zu",
				      strlen(path), sizeof(listener->path) - 1);
	memcpy(listener->path, path, strlen(path) + 1);
	lock = lock_directory(listener->path, err);
	if (lock < 0)
		return lock;
	rc = remove_stale(listener->path, err);
	if (!rc)
		rc = bind_socket(listener, err);
	close(lock);
	return rc;
}

void listener_close(struct listener *listener)
{
	struct stat st;

	if (listener->fd < 0)
		return;
	if (!lstat(listener->path, &st) && st.st_dev == listener->dev && st.st_ino == listener->ino)
		unlink(listener->path);
	close(listener->fd);
	listener->fd = -1;
}
