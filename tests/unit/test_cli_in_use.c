/* SPDX-License-Identifier: BSD-3-Clause */
/* What keeps a function from being taken: everything that uses it is found and named, and nothing
 * else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "in_use.h"
#include "made_pci.h"

#define ADDRESS "0000:03:00.0"
#define OTHER "0000:03:00.1"
#define NAMESPACE "/sys/devices/pci0000:00/0000:00:10.0/" ADDRESS "/nvme/nvme0/nvme0n1"
#define BLOCK "/sys/class/block"

static char why[IN_USE_TEXT];

/* A controller with a namespace of two partitions, beside one that has all kinds of users. */
static int make_machine(void **state)
{
	static const char folder[] = "../../devices/pci0000:00/0000:00:10.0/" ADDRESS "/nvme/nvme0";
	char target[200];

	if (tree_make(state))
		return -1;
	tree_put(PCI "/" ADDRESS "/nvme/nvme0/model", "QEMU\n");
	snprintf(target, sizeof(target), "%s/nvme0n1", folder);
	tree_put_link(BLOCK "/nvme0n1", target);
	for (int i = 1; i <= 2; i++) {
		char path[64];

		snprintf(target, sizeof(target), "%s/nvme0n1/nvme0n1p%d", folder, i);
		snprintf(path, sizeof(path), BLOCK "/nvme0n1p%d", i);
		tree_put_link(path, target);
	}
	tree_put_link(BLOCK "/sda", "../../devices/pci0000:00/" OTHER "/ata1/block/sda");
	tree_put("/sys/devices/pci0000:00/" OTHER "/ata1/block/sda/dev", "8:0\n");
	tree_put(BLOCK "/dm-0/dev", "254:0\n");
	tree_put(NAMESPACE "/dev", "259:0\n");
	tree_put(NAMESPACE "/nvme0n1p1/dev", "259:1\n");
	tree_put(NAMESPACE "/nvme0n1p2/dev", "259:2\n");
	tree_put("/proc/self/mountinfo", "22 1 8:0 / / rw,relatime shared:1 - ext4 /dev/sda rw\n"
					 "23 22 0:21 / /proc rw - proc proc rw\n");
	tree_put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda1 partition 1 0 -2\n");
	return 0;
}

static void assert_used(const char *text)
{
	why[0] = '\0';
	assert_true(in_use(tree_root, ADDRESS, why));
	if (!strstr(why, text))
		fail_msg("'%s' lacks '%s'", why, text);
}

static void assert_free(void)
{
	if (in_use(tree_root, ADDRESS, why))
		fail_msg("%s", why);
}

static void test_unused(void **state)
{
	(void)state;
	assert_free();
	assert_true(in_use(tree_root, OTHER, why));
	assert_string_equal(why, "sda is mounted on /: 'umount /' frees it");
	assert_false(in_use(tree_root, "0000:99:00.0", why));
	assert_false(in_use("/nonexistent", ADDRESS, why));
}

static void test_mounted_partition(void **state)
{
	(void)state;
	tree_put("/proc/self/mountinfo",
		 "22 1 8:0 / / rw - ext4 /dev/sda rw\n"
		 "30 22 259:2 / /data\\040x rw shared:5 master:1 - xfs /dev/nvme0n1p2 rw\n");
	assert_used("nvme0n1p2 is mounted on /data\\040x: 'umount /data\\040x' frees it");
}

/* The mounts of the first process count as well: ours can be a namespace of its own. */
static void test_mounted_for_init(void **state)
{
	(void)state;
	tree_put("/proc/1/mountinfo", "30 22 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n");
	assert_used("nvme0n1 is mounted on /srv");
}

/* A file system over several devices has a number of its own, and only the name of one. */
static void test_mounted_by_name(void **state)
{
	(void)state;
	tree_put("/proc/self/mountinfo", "30 22 0:44 /@ /btrfs rw - btrfs /dev/nvme0n1p1 rw\n");
	assert_used("nvme0n1p1 is mounted on /btrfs");
	tree_put("/proc/self/mountinfo", "30 22 0:44 /@ /btrfs rw - btrfs /dev/nvme0n1p11 rw\n");
	assert_free();
}

static void test_swap(void **state)
{
	(void)state;
	tree_put("/proc/swaps", "Filename Type\n/dev/nvme0n1p2 partition 1 0 -2\n");
	assert_used("nvme0n1p2 is used as swap: 'swapoff /dev/nvme0n1p2' frees it");
	tree_put("/proc/swaps", "Filename Type\n/dev/nvme0n1p22 partition 1 0 -2\n");
	assert_free();
}

static void test_volume(void **state)
{
	(void)state;
	tree_put(BLOCK "/nvme0n1p1/holders/dm-0", "");
	tree_put(BLOCK "/dm-0/dm/name", "vg-data\n");
	assert_used("nvme0n1p1 is part of dm-0 (vg-data)");
	tree_put("/proc/self/mountinfo", "30 22 254:0 / /lv rw - ext4 /dev/mapper/vg-data rw\n");
	assert_used("part of dm-0 (vg-data), mounted on /lv: 'umount /lv' frees it");
	tree_put("/proc/self/mountinfo", "");
	tree_put("/proc/swaps", "Filename Type\n/dev/dm-0 partition 1 0 -2\n");
	assert_used("used as swap: 'swapoff /dev/mapper/vg-data' frees it");
}

/* md on partitions, LVM on md: the end of the chain is named. A chain that bites its tail ends. */
static void test_stacked(void **state)
{
	(void)state;
	tree_put(BLOCK "/nvme0n1p1/holders/md0", "");
	tree_put(BLOCK "/md0/holders/dm-0", "");
	tree_put("/proc/self/mountinfo", "30 22 254:0 / /lv rw - ext4 /dev/mapper/x rw\n");
	assert_used("nvme0n1p1 is part of md0, part of dm-0, mounted on /lv");
	tree_put("/proc/self/mountinfo", "");
	tree_put(BLOCK "/dm-0/holders/md0", "");
	assert_used("nvme0n1p1 is part of md0, part of dm-0");
}

/* With native multipath the namespaces are the subsystem's. */
static void test_multipath(void **state)
{
	(void)state;
	tree_take(BLOCK "/nvme0n1");
	tree_take(BLOCK "/nvme0n1p1");
	tree_take(BLOCK "/nvme0n1p2");
	tree_put("/sys/devices/virtual/nvme-subsystem/nvme-subsys3/nvme0/state", "live\n");
	tree_put_link("/sys/class/nvme-subsystem/nvme-subsys3",
		      "../../devices/virtual/nvme-subsystem/nvme-subsys3");
	tree_put("/sys/devices/virtual/nvme-subsystem/nvme-subsys3/nvme3n1/dev", "259:7\n");
	tree_put_link(BLOCK "/nvme3n1",
		      "../../devices/virtual/nvme-subsystem/nvme-subsys3/nvme3n1");
	assert_free();
	tree_put("/proc/self/mountinfo", "30 22 259:7 / /mp rw - ext4 /dev/nvme3n1 rw\n");
	assert_used("nvme3n1 is mounted on /mp");
	tree_take("/sys/devices/virtual/nvme-subsystem/nvme-subsys3/nvme0/state");
	tree_take("/sys/devices/virtual/nvme-subsystem/nvme-subsys3/nvme0");
	assert_free();
}

static void test_open(void **state)
{
	(void)state;
	tree_put("/proc/41/comm", "bash\n");
	tree_put_link("/proc/41/fd/0", "/dev/null");
	tree_put("/proc/42/comm", "fio\n");
	tree_put_link("/proc/42/fd/0", "/dev/pts/0");
	tree_put_link("/proc/42/fd/5", "/dev/nvme0n1p2");
	assert_used("/dev/nvme0n1p2 is open in fio (process 42)");
	tree_take("/proc/42/fd/5");
	assert_free();
	tree_put_link("/proc/42/fd/5", "/dev/ng0n1");
	assert_used("/dev/ng0n1 is open in fio");
	tree_take("/proc/42/fd/5");
	tree_put_link("/proc/42/fd/5", "/dev/nvme0");
	assert_used("/dev/nvme0 is open in fio");
}

static void test_vfio_open(void **state)
{
	(void)state;
	tree_put(PCI "/" ADDRESS "/vfio-dev/vfio7/dev", "");
	assert_false(in_use_by_vfio(tree_root, ADDRESS, "12", why));
	tree_put("/proc/42/comm", "weir\n");
	tree_put_link("/proc/42/fd/5", "/dev/vfio/12");
	assert_true(in_use_by_vfio(tree_root, ADDRESS, "12", why));
	assert_string_equal(why, "/dev/vfio/12 is open in weir (process 42)");
	assert_false(in_use_by_vfio(tree_root, ADDRESS, "1", why));
	assert_false(in_use_by_vfio(tree_root, ADDRESS, "", why));
	tree_put_link("/proc/42/fd/6", "/dev/vfio/devices/vfio7");
	assert_true(in_use_by_vfio(tree_root, ADDRESS, "", why));
}

static void put_interface(void)
{
	static const char folder[] = "/devices/pci0000:00/0000:00:10.0/" ADDRESS "/net/eth7";
	char text[200];

	snprintf(text, sizeof(text), "/sys%s/flags", folder);
	tree_put(text, "0x1003\n");
	snprintf(text, sizeof(text), "../..%s", folder);
	tree_put_link("/sys/class/net/eth7", text);
	tree_put("/proc/net/route", "Iface\tDestination\neth70\t00000000\tnot eth7\n");
	tree_put("/proc/net/if_inet6", "fe800000000000005054000000000001 02 40 20 80     eth7\n"
				       "20010db8000000000000000000000001 03 40 00 80     eth8\n");
}

static void test_interface(void **state)
{
	(void)state;
	put_interface();
	/* Up, yet with a link-local address only. */
	assert_free();
	tree_put("/proc/net/route", "Iface\tDestination\neth7\t0000000A\t00000000\n");
	assert_used("eth7 is up and has IPv4 routes: 'ip link set eth7 down' takes it down");
	tree_put("/sys/class/net/eth7/flags", "0x1002\n");
	assert_free();
	tree_put("/sys/class/net/eth7/flags", "0x1003\n");
	tree_put("/proc/net/route", "");
	tree_put("/proc/net/if_inet6", "20010db8000000000000000000000001 02 40 00 80     eth7\n");
	assert_used("eth7 is up and has an IPv6 address");
}

static void test_enslaved(void **state)
{
	(void)state;
	put_interface();
	tree_put("/sys/class/net/eth7/flags", "0x1002\n");
	tree_put("/sys/class/net/eth7/upper_bond0/flags", "");
	assert_used("eth7 is part of bond0");
}

static void test_virtual_functions(void **state)
{
	(void)state;
	tree_put(PCI "/" ADDRESS "/sriov_numvfs", "0\n");
	assert_free();
	tree_put(PCI "/" ADDRESS "/sriov_numvfs", "4\n");
	assert_used("it has 4 virtual functions, which end with it: "
		    "'echo 0 > /sys/bus/pci/devices/0000:03:00.0/sriov_numvfs' removes them");
}

/* Tables with nonsense, lines without end and very long names say nothing and break nothing. */
static void test_nonsense(void **state)
{
	char *noise = malloc(100001);
	char path[300] = BLOCK "/nvme0n1p1/holders/";

	(void)state;
	assert_non_null(noise);
	memset(noise, 'x', 100000);
	noise[100000] = '\0';
	tree_put("/proc/self/mountinfo", noise);
	tree_put("/proc/1/mountinfo", "1\n1 2\n1 2 259:0\n1 2 259:0 / \n - \n - x\n\n");
	tree_put("/proc/swaps", noise);
	tree_put("/proc/net/route", noise);
	tree_put("/proc/net/if_inet6", "\t\t \n\n   ");
	put_interface();
	tree_put(PCI "/" ADDRESS "/sriov_numvfs", noise);
	assert_free();
	memset(path + strlen(path), 'h', 200);
	tree_put(path, "");
	tree_put("/proc/self/mountinfo", "30 22 259:0 / /a\n");
	assert_used("is mounted on /a");
	noise[90] = '\0';
	assert_true(snprintf(path, sizeof(path), "30 22 259:1 / /%s rw - ext4 x rw\n", noise) > 0);
	tree_put("/proc/self/mountinfo", path);
	assert_used("nvme0n1p1 is mounted on /xxx");
	assert_true(strlen(why) < sizeof(why));
	free(noise);
}

#define MACHINE_TEST(test) cmocka_unit_test_setup_teardown(test, make_machine, tree_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_unused),
		MACHINE_TEST(test_mounted_partition),
		MACHINE_TEST(test_mounted_for_init),
		MACHINE_TEST(test_mounted_by_name),
		MACHINE_TEST(test_swap),
		MACHINE_TEST(test_volume),
		MACHINE_TEST(test_stacked),
		MACHINE_TEST(test_multipath),
		MACHINE_TEST(test_open),
		MACHINE_TEST(test_vfio_open),
		MACHINE_TEST(test_interface),
		MACHINE_TEST(test_enslaved),
		MACHINE_TEST(test_virtual_functions),
		MACHINE_TEST(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
