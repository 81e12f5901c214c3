/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

long call(int fd, unsigned long request, void *argument)
{
	int result = ioctl(fd, request, argument);

	return result < 0 ? -errno : result;
}

long call_number(int fd, unsigned long request, unsigned long argument)
{
	int result = ioctl(fd, request, argument);

	return result < 0 ? -errno : result;
}

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int open_container(void)
{
	return open_node("/dev/vfio/vfio");
}

int open_group(enum conform_kind kind)
{
	return open_node(the_devices[kind].node);
}

long set_container(int group, int container)
{
	return call(group, VFIO_GROUP_SET_CONTAINER, &container);
}

long get_device(int group, const char *name)
{
	return call(group, VFIO_GROUP_GET_DEVICE_FD, (void *)(uintptr_t)name);
}

static void must_open_device(struct session *session, enum conform_kind kind)
{
	session->device = (int)must(get_device(session->group, the_devices[kind].bdf),
				    "VFIO_GROUP_GET_DEVICE_FD of the %s", the_devices[kind].kind);
}

static void must_open_group(struct session *session, enum conform_kind kind)
{
	session->group = (int)must(open_group(kind), "open the %s's group", the_devices[kind].kind);
	must(set_container(session->group, session->container), "VFIO_GROUP_SET_CONTAINER");
}

struct session must_open(enum conform_kind kind, unsigned long type)
{
	struct session session = { -1, -1, -1 };

	session.container = (int)must(open_container(), "open /dev/vfio/vfio");
	must_open_group(&session, kind);
	if (type) {
		must(call_number(session.container, VFIO_SET_IOMMU, type), "VFIO_SET_IOMMU");
		must_open_device(&session, kind);
	}
	return session;
}

struct session must_join(const struct session *first, enum conform_kind kind)
{
	struct session session = { first->container, -1, -1 };

	must_open_group(&session, kind);
	must_open_device(&session, kind);
	session.container = -1;
	return session;
}

void close_session(struct session *session)
{
	int fds[] = { session->device, session->group, session->container };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	*session = (struct session){ -1, -1, -1 };
}

long map_dma(int container, const void *memory, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)memory,
		.iova = iova,
		.size = size,
	};

	return call(container, VFIO_IOMMU_MAP_DMA, &map);
}

long unmap_dma(int container, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.iova = iova,
		.size = size,
	};
	long result = call(container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	return result < 0 ? result : (long)unmap.size;
}

long dma_available(int container)
{
	union {
		struct vfio_iommu_type1_info info;
		unsigned char bytes[4096];
	} answer = { .info.argsz = sizeof(answer) };
	long result = call(container, VFIO_IOMMU_GET_INFO, &answer);
	uint32_t at = answer.info.cap_offset;

	if (result < 0)
		return result;
	for (int hops = 0;
	     at && at + sizeof(struct vfio_iommu_type1_info_dma_avail) <= sizeof(answer); hops++) {
		struct vfio_iommu_type1_info_dma_avail available;

		memcpy(&available, answer.bytes + at, sizeof(available));
		if (available.header.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
			return available.avail;
		if (hops > 16)
			break;
		at = available.header.next;
	}
	return -ENOENT;
}

void *must_allocate(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	must(memory == MAP_FAILED ? -errno : 0, "allocate %zu bytes", size);
	return memory;
}

struct vfio_region_info must_region(int device, unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	must(call(device, VFIO_DEVICE_GET_REGION_INFO, &info),
	     "VFIO_DEVICE_GET_REGION_INFO of region %u", index);
	return info;
}

void *must_map_region(int device, unsigned int index)
{
	struct vfio_region_info info = must_region(device, index);
	void *address = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device,
			     (off_t)info.offset);

	must(address == MAP_FAILED ? -errno : 0, "mmap() of region %u", index);
	return address;
}

static off_t config_offset(int device, unsigned int at)
{
	return (off_t)must_region(device, VFIO_PCI_CONFIG_REGION_INDEX).offset + at;
}

uint32_t config_read(int device, unsigned int at, unsigned int width)
{
	uint32_t value = 0;
	ssize_t got = pread(device, &value, width, config_offset(device, at));

	must(got == (ssize_t)width ? 0 : -EIO, "read %u bytes of configuration space at %#x", width,
	     at);
	return value;
}

void config_write(int device, unsigned int at, unsigned int width, uint32_t value)
{
	ssize_t put = pwrite(device, &value, width, config_offset(device, at));

	must(put == (ssize_t)width ? 0 : -EIO, "write %u bytes of configuration space at %#x",
	     width, at);
}

uint32_t hardware_config(enum conform_kind kind, unsigned int at, unsigned int width)
{
	uint32_t value = 0;
	char path[96];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", the_devices[kind].bdf);
	fd = open_node(path);
	must(fd, "open %s", path);
	got = pread(fd, &value, width, at);
	close(fd);
	must(got == (ssize_t)width ? 0 : -EIO, "read %u bytes of %s at %#x", width, path, at);
	return value;
}

unsigned int capability(int device, unsigned int id)
{
	unsigned int at = config_read(device, PCI_CAPABILITY_LIST, 1);

	for (int hops = 0; at >= PCI_STD_HEADER_SIZEOF && hops < 48; hops++) {
		if (config_read(device, at, 1) == id)
			return at;
		at = config_read(device, at + 1, 1) & ~3u;
	}
	return 0;
}

unsigned int extended_capability(int device, unsigned int id)
{
	unsigned int at = PCI_CFG_SPACE_SIZE;

	if (must_region(device, VFIO_PCI_CONFIG_REGION_INDEX).size <= PCI_CFG_SPACE_SIZE)
		return 0;
	for (int hops = 0; at >= PCI_CFG_SPACE_SIZE && hops < 480; hops++) {
		uint32_t header = config_read(device, at, 4);

		if (header && PCI_EXT_CAP_ID(header) == id)
			return at;
		at = PCI_EXT_CAP_NEXT(header);
	}
	return 0;
}

void set_command(int device, bool memory, bool master)
{
	uint32_t command = config_read(device, PCI_COMMAND, 2);

	command &= ~(uint32_t)(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	command |= (memory ? PCI_COMMAND_MEMORY : 0) | (master ? PCI_COMMAND_MASTER : 0);
	config_write(device, PCI_COMMAND, 2, command);
}

void set_power_state(int device, unsigned int state)
{
	unsigned int at = capability(device, PCI_CAP_ID_PM);
	uint32_t control;

	must(at ? 0 : -ENOENT, "find the power management capability");
	control = config_read(device, at + PCI_PM_CTRL, 2);
	config_write(device, at + PCI_PM_CTRL, 2,
		     (control & ~(uint32_t)PCI_PM_CTRL_STATE_MASK) | state);
}

static size_t irq_data_size(uint32_t flags)
{
	if (flags & VFIO_IRQ_SET_DATA_BOOL)
		return 1;
	return flags & VFIO_IRQ_SET_DATA_EVENTFD ? sizeof(int32_t) : 0;
}

long set_irqs(int device, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
	      const void *data)
{
	size_t size = data ? count * irq_data_size(flags) : 0;
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + size);
	long result;

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)(sizeof(*set) + size);
	set->flags = flags;
	set->index = index;
	set->start = start;
	set->count = count;
	if (size)
		memcpy(set->data, data, size);
	result = call(device, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	return result;
}

long device_feature(int device, uint32_t flags, void *data, size_t size)
{
	struct {
		struct vfio_device_feature header;
		unsigned char data[64];
	} feature = { .header.argsz = (uint32_t)(sizeof(feature.header) + size),
		      .header.flags = flags };

	if (data)
		memcpy(feature.data, data, size);
	return call(device, VFIO_DEVICE_FEATURE, &feature);
}

void *no_address(void)
{
	return NULL;
}

static long status_kilobytes(const char *name)
{
	FILE *status = fopen("/proc/self/status", "r");
	size_t length = strlen(name);
	long kilobytes = -1;
	char line[128];

	while (status && fgets(line, sizeof(line), status)) {
		if (strncmp(line, name, length) == 0)
			kilobytes = strtol(line + length, NULL, 10);
	}
	if (status)
		fclose(status);
	return kilobytes;
}

long locked_kilobytes(void)
{
	return status_kilobytes("VmLck:") + status_kilobytes("VmPin:");
}

int must_open_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	must(log < 0 ? -errno : 0, "open /dev/kmsg");
	lseek(log, 0, SEEK_END);
	return log;
}

bool log_has(int log, const char *text)
{
	char record[8192];
	bool found = false;
	ssize_t size;

	/* -EPIPE: older records than the next one are gone. */
	while ((size = read(log, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		record[size > 0 ? size : 0] = '\0';
		found |= strstr(record, text) != NULL;
	}
	close(log);
	return found;
}

static sigjmp_buf after_bus_error;

static void on_bus_error(int number)
{
	(void)number;
	siglongjmp(after_bus_error, 1);
}

bool readable(const volatile void *address)
{
	struct sigaction ours = { .sa_handler = on_bus_error }, before;
	volatile bool reached = false;

	sigaction(SIGBUS, &ours, &before);
	if (sigsetjmp(after_bus_error, 1) == 0) {
		(void)*(const volatile unsigned char *)address;
		reached = true;
	}
	sigaction(SIGBUS, &before, NULL);
	return reached;
}
