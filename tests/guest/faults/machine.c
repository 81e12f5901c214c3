/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "../sysfs.h"

#define DEVICES "/sys/bus/pci/devices"
#define REQUEST_PORT "/dev/virtio-ports/weir.request"
#define REQUEST_MS 30000

/* PCI 3.0 §6.7, PCI Express 3.0 §7.8.10. */
#define CONFIG_CAPABILITIES 0x34
#define CAPABILITY_EXPRESS 0x10
#define EXPRESS_SLOT_CONTROL 0x18
#define SLOT_INTERRUPTS 0x0020
#define SLOT_POWER 0x0700 /* power controller and power indicator: off when all are set */
#define SLOT_POWER_ON 0x0100

const struct machine_drive machine_victim = {
	"0000:81:00.0", "0000:80:01.0", "nvme2", "weir-nvme2", "disk3", "rp3",
};
const struct machine_drive machine_bystander = {
	"0000:06:00.0", "0000:00:11.0", "nvme1", "weir-nvme1", "disk1", "rp2",
};

static void sleep_ms(unsigned int ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&pause, NULL);
}

/* One line, within the time. */
static int read_line(int fd, char *line, size_t size)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t length = 0;
	char c;

	do {
		if (poll(&ready, 1, REQUEST_MS) != 1 || read(fd, &c, 1) != 1)
			return -ETIMEDOUT;
		if (length + 1 < size)
			line[length++] = c;
	} while (c != '\n');
	line[length] = '\0';
	return 0;
}

int machine_request(const char *command, char *answer, size_t size)
{
	int fd = open(REQUEST_PORT, O_RDWR | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	if (dprintf(fd, "%s\n", command) < 0)
		ret = -errno;
	else
		ret = read_line(fd, answer, size);
	close(fd);
	if (ret)
		return ret;
	return strstr(answer, "\"return\"") ? 0 : -EIO;
}

bool machine_has(const char *address)
{
	return sysfs_exists(DEVICES "/%s", address);
}

static int give_to(uid_t user, const char *path)
{
	return chown(path, user, (gid_t)-1) ? -errno : 0;
}

/* The nodes of a function: its group's, and its own where the kernel has such. */
static int give_nodes(const char *address, uid_t user)
{
	char group[64], path[320];
	struct dirent *entry;
	DIR *dir;
	int ret;

	sysfs_link(group, sizeof(group), DEVICES "/%s/iommu_group", address);
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	ret = give_to(user, path);
	snprintf(path, sizeof(path), DEVICES "/%s/vfio-dev", address);
	dir = opendir(path);
	while (dir && !ret && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
		if (entry->d_name[0] != '.' && !access(path, F_OK))
			ret = give_to(user, path);
	}
	if (dir)
		closedir(dir);
	return ret;
}

int machine_bind(const char *address, uid_t user)
{
	time_t deadline = time(NULL) + MACHINE_PATIENCE_S;
	char driver[64] = "";
	int ret;

	/* A function that has just come is seen before all that belongs to it. */
	while ((ret = sysfs_write("vfio-pci", DEVICES "/%s/driver_override", address)) == -ENOENT &&
	       time(NULL) <= deadline)
		sleep_ms(10);
	if (!ret && sysfs_exists(DEVICES "/%s/driver", address))
		ret = sysfs_write(address, DEVICES "/%s/driver/unbind", address);
	/* And before drivers may have it. */
	while (!ret && strcmp(driver, "vfio-pci") != 0) {
		if (time(NULL) > deadline)
			return -ETIMEDOUT;
		if (sysfs_write(address, "/sys/bus/pci/drivers_probe"))
			sleep_ms(10);
		sysfs_link(driver, sizeof(driver), DEVICES "/%s/driver", address);
	}
	/* The driver is seen before its probe is over, which makes the nodes. */
	if (ret)
		return ret;
	while ((ret = give_nodes(address, user)) == -ENOENT && time(NULL) <= deadline)
		sleep_ms(10);
	return ret;
}

pid_t machine_unbind(const char *address)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(sysfs_write(address, DEVICES "/%s/driver/unbind", address) ? 1 : 0);
}

int machine_unplug(const struct machine_drive *drive)
{
	char command[128], answer[256];

	snprintf(command, sizeof(command),
		 "{\"execute\": \"device_del\", \"arguments\": {\"id\": \"%s\"}}", drive->id);
	return machine_request(command, answer, sizeof(answer));
}

static int find_capability(int config, uint8_t id, uint8_t *at)
{
	uint8_t entry[2];

	if (pread(config, at, 1, CONFIG_CAPABILITIES) != 1)
		return -EIO;
	for (int steps = 0; *at && steps < 48; steps++) {
		if (pread(config, entry, sizeof(entry), *at) != sizeof(entry))
			return -EIO;
		if (entry[0] == id)
			return 0;
		*at = entry[1];
	}
	return -ENOENT;
}

/* Opens the configuration space of a drive's port; *at is the slot control register. */
static int open_slot(const struct machine_drive *drive, uint8_t *at)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), DEVICES "/%s/config", drive->port);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = find_capability(fd, CAPABILITY_EXPRESS, at);
	*at += EXPRESS_SLOT_CONTROL;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/*
 * QEMU takes a device out when its slot's power goes off. The kernel's driver of the slot is told
 * only once the power is on again: what it then sees is an empty slot, out of the blue.
 */
int machine_cut_off(const struct machine_drive *drive)
{
	uint16_t control, off, on;
	int ret = 0;
	uint8_t at;
	int fd = open_slot(drive, &at);

	if (fd < 0)
		return fd;
	if (pread(fd, &control, sizeof(control), at) != sizeof(control)) {
		ret = -EIO;
		goto close;
	}
	off = (uint16_t)((control | SLOT_POWER) & ~SLOT_INTERRUPTS);
	on = (uint16_t)((control & ~SLOT_POWER) | SLOT_POWER_ON | SLOT_INTERRUPTS);
	if (pwrite(fd, &off, sizeof(off), at) != sizeof(off) ||
	    pwrite(fd, &on, sizeof(on), at) != sizeof(on))
		ret = -EIO;
close:
	close(fd);
	return ret;
}

/* The kernel's driver of the slot has done with what was in it. Until then it may switch the power
 * off, and QEMU would take out what is in it then. */
static int wait_for_slot(const struct machine_drive *drive, time_t deadline)
{
	uint16_t control = 0;
	int ret = 0;
	uint8_t at;
	int fd = open_slot(drive, &at);

	if (fd < 0)
		return fd;
	while (!ret && (control & SLOT_POWER) != SLOT_POWER) {
		if (pread(fd, &control, sizeof(control), at) != sizeof(control))
			ret = -EIO;
		else if (time(NULL) > deadline)
			ret = -ETIMEDOUT;
		sleep_ms(10);
	}
	close(fd);
	return ret;
}

int machine_plug(const struct machine_drive *drive)
{
	time_t deadline = time(NULL) + MACHINE_PATIENCE_S;
	char command[256], answer[256];
	int ret = wait_for_slot(drive, deadline);

	if (ret)
		return ret;
	snprintf(command, sizeof(command),
		 "{\"execute\": \"device_add\", \"arguments\": {\"driver\": \"nvme\", "
		 "\"id\": \"%s\", \"serial\": \"%s\", \"drive\": \"%s\", \"bus\": \"%s\"}}",
		 drive->id, drive->serial, drive->backend, drive->bus);
	while (machine_request(command, answer, sizeof(answer))) {
		if (time(NULL) > deadline)
			return -ETIMEDOUT;
		sleep_ms(500);
	}
	while (!machine_has(drive->address)) {
		if (time(NULL) > deadline)
			return -ETIMEDOUT;
		sleep_ms(100);
	}
	return 0;
}

int machine_reset(const char *address)
{
	return sysfs_write("1", DEVICES "/%s/reset", address);
}

int machine_bus_error(const struct machine_drive *drive, bool fatal)
{
	char command[192], answer[256];
	int ret;

	snprintf(command, sizeof(command),
		 "{\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": "
		 "\"pcie_aer_inject_error %s %s\"}}",
		 drive->bus, fatal ? "DLP" : "COMP_TIME");
	ret = machine_request(command, answer, sizeof(answer));
	return ret ? ret : strstr(answer, "OK") ? 0 : -EIO;
}

long machine_free_huge_pages(void)
{
	return sysfs_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
}
