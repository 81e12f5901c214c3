/* SPDX-License-Identifier: BSD-3-Clause */
/* weir doctor DEV and weir ls: what is in the way of one function, and the command that helps. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "doctor.h"
#include "made_pci.h"
#include "pci_list.h"
#include "readiness.h"

#define ADDRESS "0000:03:00.0"
#define OTHER "0000:03:00.1"

static gid_t groups[] = { 100 };
static struct who ann = { .name = "ann", .uid = 1000, .groups = groups, .nr_groups = 1 };
static const struct who root_user = { .name = "root", .memlock = UINT64_MAX };
static struct readiness readiness;

/* Two functions in group 12 below a port, the first bound to VFIO and open to all. */
static int make_machine(void **state)
{
	if (tree_make(state))
		return -1;
	ann.memlock = UINT64_MAX;
	tree_put("/sys/class/iommu/dmar0/name", "");
	tree_put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	tree_put("/lib/modules/6.1.0-18-amd64/modules.dep",
		 "kernel/drivers/vfio/pci/vfio-pci.ko:\n");
	pci_put_drivers("vfio-pci");
	pci_put("0000:00:10.0", "0x060400\n", "pcieport", "12");
	pci_put(ADDRESS, "0x010802\n", "vfio-pci", "12");
	pci_put(OTHER, "0x020000\n", "", "12");
	tree_put("/dev/vfio/vfio", "");
	tree_put("/dev/vfio/12", "");
	assert_int_equal(chmod(tree_path("/dev/vfio/vfio"), 0666), 0);
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0666), 0);
	return 0;
}

static void assert_state(const struct who *who, enum readiness_state state, const char *text,
			 const char *fix)
{
	readiness_examine(tree_root, who, ADDRESS, &readiness);
	assert_string_equal(readiness.text, text);
	assert_string_equal(readiness.fix, fix);
	assert_int_equal(readiness.state, state);
}

static void test_ready(void **state)
{
	(void)state;
	assert_state(&ann, READINESS_READY, "ready: group", "");
	tree_put(PCI "/" ADDRESS "/vfio-dev/vfio0/dev", "");
	tree_put("/dev/vfio/devices/vfio0", "");
	assert_state(&root_user, READINESS_READY, "ready: group", "");
	tree_put("/dev/iommu", "");
	assert_int_equal(chmod(tree_path("/dev/iommu"), 0600), 0);
	assert_state(&ann, READINESS_READY, "ready: group", "");
	assert_int_equal(chmod(tree_path("/dev/vfio/devices/vfio0"), 0666), 0);
	assert_int_equal(chmod(tree_path("/dev/iommu"), 0666), 0);
	assert_state(&ann, READINESS_READY, "ready: cdev, group", "");
	/* A kernel without groups. */
	tree_take("/dev/vfio/12");
	assert_state(&ann, READINESS_READY, "ready: cdev", "");
}

static void test_not_bound(void **state)
{
	(void)state;
	pci_put_driver(ADDRESS, "nvme");
	assert_state(&root_user, READINESS_NOT_BOUND, "bound to nvme", "weir bind " ADDRESS);
	assert_state(&ann, READINESS_NOT_BOUND, "bound to nvme",
		     "weir bind " ADDRESS " --user ann");
	pci_put_driver(ADDRESS, "");
	assert_state(&root_user, READINESS_NOT_BOUND, "bound to no driver", "weir bind " ADDRESS);
}

static void test_group(void **state)
{
	(void)state;
	pci_put_driver(OTHER, "e1000e");
	assert_state(&root_user, READINESS_GROUP,
		     "IOMMU group 12 is not viable: " OTHER " is bound to e1000e",
		     "weir bind " ADDRESS " " OTHER);
	tree_put_link("/sys/class/net/eth7", "../../devices/pci0000:00/" OTHER "/net/eth7");
	tree_put("/sys/devices/pci0000:00/" OTHER "/net/eth7/upper_br0/x", "");
	assert_state(&root_user, READINESS_IN_USE,
		     "IOMMU group 12 is not viable: " OTHER
		     " is in use: eth7 is part of br0: take it out of that first",
		     "");
	/* A device of another bus cannot be bound by its address. */
	tree_take("/sys/class/net/eth7");
	pci_put_driver(OTHER, "vfio-pci");
	tree_put_link(GROUPS "/12/devices/dma; reboot/driver", "../drivers/plain");
	assert_state(&root_user, READINESS_GROUP,
		     "IOMMU group 12 is not viable: dma; reboot is bound to plain", "");
}

static void test_node_missing(void **state)
{
	(void)state;
	tree_put("/sys/class/vfio/12/dev", "240:7\n");
	tree_put("/sys/class/misc/vfio/dev", "10:196\n");
	tree_take("/dev/vfio/12");
	assert_state(&ann, READINESS_NO_NODE,
		     "bound to vfio-pci, but /dev/vfio/12 is not there: udev has not made it, or "
		     "it is not passed into this container",
		     "mkdir -p /dev/vfio && mknod -m 600 /dev/vfio/12 c 240 7");
	tree_put("/dev/vfio/12", "");
	tree_take("/dev/vfio/vfio");
	assert_state(&root_user, READINESS_NO_NODE,
		     "bound to vfio-pci, but /dev/vfio/vfio is not there: udev has not made it, or "
		     "it is not passed into this container",
		     "mkdir -p /dev/vfio && mknod -m 666 /dev/vfio/vfio c 10 196");
	/* The other way is enough. */
	tree_put(PCI "/" ADDRESS "/vfio-dev/vfio0/dev", "511:0\n");
	tree_put("/dev/vfio/devices/vfio0", "");
	tree_put("/dev/iommu", "");
	assert_state(&root_user, READINESS_READY, "ready: cdev", "");
}

static void test_no_node(void **state)
{
	(void)state;
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0600), 0);
	assert_state(&root_user, READINESS_READY, "ready: group", "");
	assert_state(&ann, READINESS_NO_PERMISSION, "user ann may not open /dev/vfio/12",
		     "weir bind " ADDRESS " --user ann");
	/* The node is the user's, the one that all devices share is not. */
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0666), 0);
	assert_int_equal(chmod(tree_path("/dev/vfio/vfio"), 0600), 0);
	assert_state(&ann, READINESS_NO_PERMISSION, "user ann may not open /dev/vfio/vfio",
		     "weir bind " ADDRESS " --user ann");
	tree_take("/dev/vfio/12");
	readiness_examine(tree_root, &ann, ADDRESS, &readiness);
	assert_int_equal(readiness.state, READINESS_NO_NODE);
	assert_string_equal(readiness.fix, "");
}

static void test_others(void **state)
{
	(void)state;
	readiness_examine(tree_root, &ann, "0000:03:00.7", &readiness);
	assert_int_equal(readiness.state, READINESS_MISSING);
	readiness_examine(tree_root, &ann, "0000:00:10.0", &readiness);
	assert_int_equal(readiness.state, READINESS_BRIDGE);
	tree_take(PCI "/" ADDRESS "/iommu_group");
	readiness_examine(tree_root, &ann, ADDRESS, &readiness);
	assert_int_equal(readiness.state, READINESS_NO_IOMMU);
	/* What is no number is no group: it would end in a path. */
	tree_put_link(PCI "/" ADDRESS "/iommu_group", "../..");
	readiness_examine(tree_root, &ann, ADDRESS, &readiness);
	assert_int_equal(readiness.state, READINESS_NO_IOMMU);
}

/* The only finding about ADDRESS that is not "ok", or NULL. */
static const char *fault_of_device(const struct who *who)
{
	struct doctor doctor = { .root = tree_root, .who = who, .findings = json_array() };
	static char id[64];
	unsigned int faults = 0;
	const json_t *finding;
	size_t i;

	doctor_run_device(&doctor, ADDRESS);
	json_array_foreach(doctor.findings, i, finding)
	{
		if (strcmp(json_string_value(json_object_get(finding, "severity")), "ok")) {
			faults++;
			snprintf(id, sizeof(id), "%s",
				 json_string_value(json_object_get(finding, "id")));
		}
	}
	json_decref(doctor.findings);
	assert_true(faults <= 1);
	return faults ? id : NULL;
}

/* Taken by VFIO's mode without an IOMMU, on a machine that has one for other devices. */
static void test_unprotected(void **state)
{
	(void)state;
	tree_put(GROUPS "/12/name", "vfio-noiommu\n");
	tree_take("/dev/vfio/12");
	tree_put("/dev/vfio/noiommu-12", "");
	assert_state(
		&root_user, READINESS_NO_IOMMU,
		"/dev/vfio/noiommu-12, taken without an IOMMU, which is off, or does not reach "
		"it: nothing contains its DMA, so Weir refuses it",
		"");
	assert_string_equal(fault_of_device(&root_user), "device-no-iommu");
}

/* Each fault gives one finding, the one that has to be mended first. */
static void test_doctor(void **state)
{
	(void)state;
	assert_null(fault_of_device(&ann));
	ann.memlock = 65536;
	assert_string_equal(fault_of_device(&ann), "memlock-low");
	ann.memlock = UINT64_MAX;
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0600), 0);
	assert_string_equal(fault_of_device(&ann), "vfio-permission");
	pci_put_driver(OTHER, "e1000e");
	assert_string_equal(fault_of_device(&ann), "group-not-viable");
	pci_put_driver(OTHER, "");
	pci_put_driver(ADDRESS, "nvme");
	assert_string_equal(fault_of_device(&ann), "device-not-bound");
	tree_take("/sys/class/iommu/dmar0/name");
	tree_take("/sys/class/iommu/dmar0");
	assert_string_equal(fault_of_device(&ann), "iommu-off");
}

static void test_doctor_module(void **state)
{
	(void)state;
	tree_take("/sys/bus/pci/drivers/vfio-pci/bind");
	tree_take("/sys/bus/pci/drivers/vfio-pci/unbind");
	tree_take("/sys/bus/pci/drivers/vfio-pci");
	/* Binding loads the module. */
	pci_put_driver(ADDRESS, "nvme");
	assert_string_equal(fault_of_device(&ann), "device-not-bound");
	/* All but the module is prepared. */
	pci_put_driver(ADDRESS, "");
	tree_put(PCI "/" ADDRESS "/driver_override", "vfio-pci\n");
	assert_string_equal(fault_of_device(&ann), "vfio-pci-not-loaded");
	/* There is none. */
	pci_put_driver(ADDRESS, "nvme");
	tree_put("/lib/modules/6.1.0-18-amd64/modules.dep", "");
	assert_string_equal(fault_of_device(&ann), "vfio-pci-missing");
}

static void test_explain(void **state)
{
	struct weir_error err = { .code = -EIO, .text = "cannot open" };

	(void)state;
	doctor_explain(tree_root, "vfio-user:/tmp/x", &err);
	assert_string_equal(err.text, "cannot open");
	pci_put_driver(ADDRESS, "nvme");
	doctor_explain(tree_root, ADDRESS, &err);
	assert_int_equal(err.code, -EIO);
	assert_non_null(strstr(err.text, ADDRESS ": bound to nvme; as root: weir bind " ADDRESS));
	assert_non_null(strstr(err.text, "(cannot open)"));
	memset(err.text, 'x', sizeof(err.text) - 1);
	doctor_explain(tree_root, ADDRESS, &err);
	assert_non_null(strstr(err.text, "bound to nvme"));
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

/* A command that does not fit is not cut: it would do something else. */
static void test_explain_long(void **state)
{
	struct weir_error err = { .code = -EIO, .text = "cannot open" };
	char address[PCI_ADDRESS_BYTES];

	(void)state;
	for (unsigned int i = 0; i < 16; i++) {
		snprintf(address, sizeof(address), "0000:04:%02x.%u", i / 8, i % 8);
		pci_put(address, "0x020000\n", "a-driver-with-quite-a-long-name", "12");
	}
	doctor_explain(tree_root, ADDRESS, &err);
	assert_non_null(strstr(err.text, "0000:04:00.0 is bound to a-driver"));
	assert_non_null(strstr(err.text, "; 'weir doctor " ADDRESS "' says what mends it"));
	assert_null(strstr(err.text, "weir bind"));
}

static void test_describe(void **state)
{
	json_t *object, *link;

	(void)state;
	tree_put(PCI "/" ADDRESS "/current_link_speed", "8.0 GT/s PCIe\n");
	tree_put(PCI "/" ADDRESS "/current_link_width", "4\n");
	tree_put(PCI "/" ADDRESS "/max_link_speed", "16.0 GT/s PCIe\n");
	tree_put(PCI "/" ADDRESS "/max_link_width", "4\n");
	object = pci_describe(tree_root, &ann, NULL, ADDRESS);
	assert_non_null(object);
	link = json_object_get(object, "link");
	assert_string_equal(json_string_value(json_object_get(link, "max_speed")),
			    "16.0 GT/s PCIe");
	assert_int_equal(json_integer_value(json_object_get(link, "width")), 4);
	assert_int_equal(json_array_size(json_object_get(object, "group_members")), 2);
	assert_true(json_is_true(json_object_get(object, "ready")));
	assert_string_equal(json_string_value(json_object_get(object, "state")), "ready: group");
	json_decref(object);
	assert_null(pci_describe(tree_root, &ann, NULL, "0000:99:00.0"));
}

static void test_addresses(void **state)
{
	static const char *const wrong[] = { "",
					     "0000:03:00",
					     "0000:03:00.8",
					     "0000:03:20.0",
					     "0000:03:00.0 ",
					     " 03:00.0",
					     "../../etc",
					     "0x00:03:00.0",
					     "-1:03:00.0",
					     "0000:03:00.0.0",
					     "0000:0003:00.0",
					     "000000000:03:00.0",
					     "vfio-user:/tmp/x" };
	char address[PCI_ADDRESS_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (pci_parse_address(wrong[i], address))
			fail_msg("'%s' is taken for %s", wrong[i], address);
	}
	assert_true(pci_parse_address("3b:00.0", address));
	assert_string_equal(address, "0000:3b:00.0");
	assert_true(pci_parse_address("0000:3B:1F.7", address));
	assert_string_equal(address, "0000:3b:1f.7");
	assert_true(pci_parse_address("10000:01:00.0", address));
	assert_string_equal(address, "10000:01:00.0");
}

#define MACHINE_TEST(test) cmocka_unit_test_setup_teardown(test, make_machine, tree_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_ready),	  MACHINE_TEST(test_not_bound),
		MACHINE_TEST(test_group),	  MACHINE_TEST(test_no_node),
		MACHINE_TEST(test_others),	  MACHINE_TEST(test_doctor),
		MACHINE_TEST(test_doctor_module), MACHINE_TEST(test_explain),
		MACHINE_TEST(test_explain_long),  MACHINE_TEST(test_node_missing),
		MACHINE_TEST(test_describe),	  cmocka_unit_test(test_addresses),
		MACHINE_TEST(test_unprotected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
