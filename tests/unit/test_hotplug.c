/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's messages about PCI functions, and others that look like them. */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/hotplug.h"

#define PATH "/devices/pci0000:80/0000:80:01.0/0000:81:00.0"
#define REST \
	"DEVPATH=" PATH "\0SUBSYSTEM=pci\0PCI_CLASS=10802\0PCI_ID=1B36:0010\0" \
	"PCI_SUBSYS_ID=1AF4:1100\0PCI_SLOT_NAME=0000:81:00.0\0" \
	"MODALIAS=pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02\0SEQNUM=1234\0"

#define parse(event, message) hotplug_parse(message, sizeof(message) - 1, event)

static void test_added(void **state)
{
	struct weir_hotplug_event event;

	(void)state;
	assert_true(parse(&event, "add@" PATH "\0ACTION=add\0" REST));
	assert_int_equal(event.type, WEIR_HOTPLUG_ADDED);
	assert_string_equal(event.address, "0000:81:00.0");
	assert_string_equal(event.driver, "");
	assert_int_equal(event.class_code, 0x010802);
	assert_int_equal(event.vendor_id, 0x1b36);
	assert_int_equal(event.device_id, 0x0010);
}

static void test_drivers(void **state)
{
	struct weir_hotplug_event event;

	(void)state;
	assert_true(parse(&event, "bind@" PATH "\0ACTION=bind\0DRIVER=vfio-pci\0" REST));
	assert_int_equal(event.type, WEIR_HOTPLUG_BOUND);
	assert_string_equal(event.driver, "vfio-pci");
	assert_true(parse(&event, "unbind@" PATH "\0ACTION=unbind\0" REST));
	assert_int_equal(event.type, WEIR_HOTPLUG_UNBOUND);
	assert_true(parse(&event, "remove@" PATH "\0ACTION=remove\0DRIVER=nvme\0" REST));
	assert_int_equal(event.type, WEIR_HOTPLUG_REMOVED);
	assert_string_equal(event.driver, "");
}

static void test_others(void **state)
{
	struct weir_hotplug_event event;

	(void)state;
	assert_false(parse(&event, "change@" PATH "\0ACTION=change\0" REST));
	assert_false(parse(&event, "add@/devices/x\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=sda\0"));
	assert_false(parse(&event, "add@/bus/pci\0ACTION=add\0SUBSYSTEM=pci\0"));
	/* Another subsystem's device that names a PCI function. */
	assert_false(parse(&event, "add@" PATH "/nvme/nvme0\0ACTION=add\0SUBSYSTEM=nvme\0"
				   "PCI_SLOT_NAME=0000:81:00.0\0"));
}

static void test_malformed(void **state)
{
	static const char good[] = "bind@" PATH "\0ACTION=bind\0DRIVER=vfio-pci\0" REST;
	struct weir_hotplug_event event;
	char *cut;

	(void)state;
	assert_false(parse(&event, ""));
	assert_false(parse(&event, "\0\0\0\0"));
	assert_false(parse(&event, "=\0ACTION\0ACTION=\0SUBSYSTEM\0PCI_SLOT_NAME="));
	assert_false(parse(&event, "ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=../../etc\0"));
	assert_false(parse(&event, "ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:81:00.0 \0"));
	assert_false(parse(&event, "ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:81:00.0\0"
				   "PCI_ID=none\0"));
	assert_false(parse(&event, "ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:81:00.0\0"
				   "PCI_CLASS=\0"));
	assert_false(parse(&event, "ACTION=bind\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:81:00.0\0"
				   "DRIVER=0123456789012345678901234567890123456789\0"));
	/* Cut anywhere, in memory that ends there. */
	for (size_t bytes = 0; bytes < sizeof(good); bytes++) {
		cut = malloc(bytes ? bytes : 1);
		assert_non_null(cut);
		memcpy(cut, good, bytes);
		if (hotplug_parse(cut, bytes, &event)) {
			assert_string_equal(event.address, "0000:81:00.0");
			assert_int_equal(event.type, WEIR_HOTPLUG_BOUND);
		}
		free(cut);
	}
}

/* A message from a process is not the kernel's, whatever it says. */
static void test_forged(void **state)
{
	static const char forged[] = "add@" PATH "\0ACTION=add\0" REST;
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct weir_hotplug_event event;
	struct weir_hotplug *hotplug;
	struct pollfd ready = { .events = POLLIN };
	socklen_t room = sizeof(to);
	struct weir_error err;
	ssize_t sent;
	int fd, refused;

	(void)state;
	if (weir_hotplug_open(&hotplug, &err))
		fail_msg("%s", err.text);
	ready.fd = weir_hotplug_fd(hotplug);
	assert_int_equal(getsockname(ready.fd, (struct sockaddr *)&to, &room), 0);
	to.nl_groups = 0;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	assert_true(fd >= 0);
	sent = sendto(fd, forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to));
	refused = errno;
	close(fd);
	/* Only root gets that far. */
	if (sent == (ssize_t)sizeof(forged))
		assert_int_equal(poll(&ready, 1, 1000), 1);
	else
		assert_int_equal(refused, EPERM);
	/* What this machine's kernel has to say meanwhile is about other functions. */
	while (weir_hotplug_events(hotplug, &event, 1) == 1)
		assert_string_not_equal(event.address, "0000:81:00.0");
	weir_hotplug_close(hotplug);
	weir_hotplug_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_added),  cmocka_unit_test(test_drivers),
		cmocka_unit_test(test_others), cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_forged),
	};

	return cmocka_run_group_tests_name("hotplug", tests, NULL, NULL);
}
