/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cdev_calls.h"

void cdev_name(char *name, size_t size, const char *bdf)
{
	struct dirent *entry;
	char path[128];
	DIR *folder;

	name[0] = '\0';
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		if (strncmp(entry->d_name, "vfio", 4) == 0)
			snprintf(name, size, "%s", entry->d_name);
	}
	if (folder)
		closedir(folder);
}

int open_parked(const char *bdf)
{
	char name[32], path[64];
	int fd;

	cdev_name(name, sizeof(name), bdf);
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

long bind_device(int device, int iommufd)
{
	struct device_bind bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	long result = call(device, DEVICE_BIND, &bind);

	return result < 0 ? result : bind.out_devid;
}

long attach_device(int device, uint32_t id)
{
	struct device_attach attach = { .argsz = sizeof(attach), .pt_id = id };
	long result = call(device, DEVICE_ATTACH, &attach);

	return result < 0 ? result : attach.pt_id;
}

long detach_device(int device)
{
	struct device_detach detach = { .argsz = sizeof(detach) };

	return call(device, DEVICE_DETACH, &detach);
}

struct cdev_session must_bind_only(enum conform_kind kind, int iommufd)
{
	const struct conform_device *device = &the_devices[kind];
	struct cdev_session session = { .iommufd = iommufd };

	session.device = (int)must(open_parked(device->bdf), "open the %s's node", device->kind);
	session.id = (uint32_t)must(bind_device(session.device, session.iommufd), "BIND");
	return session;
}

struct cdev_session must_bind(enum conform_kind kind)
{
	struct cdev_session session = must_bind_only(kind, must_open_iommufd());

	session.ioas = must_ioas(session.iommufd);
	must(attach_device(session.device, session.ioas), "ATTACH");
	return session;
}

void close_cdev_session(struct cdev_session *session)
{
	if (session->device >= 0)
		close(session->device);
	if (session->iommufd >= 0)
		close(session->iommufd);
	*session = (struct cdev_session){ .iommufd = -1, .device = -1 };
}
