/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding a PCI function in sysfs, and saying what is in the way of opening it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include "made_tree.h"

#include "base/base.h"
#include "device/vfio/place.h"

#define BDF "0000:3b:00.0"
#define FOLDER "/sys/bus/pci/devices/" BDF
#define OTHER "0000:3b:00.1"

static struct vfio_place find(void)
{
	struct vfio_place place;

	assert_int_equal(place_find(tree_root, BDF, &place, NULL), 0);
	return place;
}

/* A function that can be opened both ways. */
static void put_function(void)
{
	tree_put(FOLDER "/numa_node", "1\n");
	tree_put_link(FOLDER "/driver", "../../../../bus/pci/drivers/vfio-pci");
	tree_put_link(FOLDER "/iommu_group", "../../../../kernel/iommu_groups/42");
	tree_put(FOLDER "/vfio-dev/vfio7/dev", "511:7\n");
	tree_put("/sys/bus/pci/drivers/vfio-pci/bind", "");
	tree_put("/sys/kernel/iommu_groups/42/devices/" BDF, "");
	tree_put("/dev/vfio/42", "");
	tree_put("/dev/vfio/vfio", "");
	tree_put("/dev/vfio/devices/vfio7", "");
	tree_put("/dev/iommu", "");
}

static int make(void **state)
{
	int ret = tree_make(state);

	if (!ret)
		put_function();
	return ret;
}

/* Both doors find the same obstacle, and say these words. */
static void expect(int code, const char *words)
{
	struct vfio_place place = find();
	struct weir_error err = { 0 };

	assert_int_equal(place_check_group(tree_root, &place, &err), code);
	assert_non_null(strstr(err.text, words));
	assert_non_null(strstr(err.text, BDF));
	memset(&err, 0, sizeof(err));
	assert_int_equal(place_check_cdev(tree_root, &place, &err), code);
	assert_non_null(strstr(err.text, words));
}

static void test_found(void **state)
{
	struct vfio_place place = find();
	char path[PATH_MAX];

	(void)state;
	assert_string_equal(place.address, BDF);
	assert_string_equal(place.driver, "vfio-pci");
	assert_string_equal(place.group, "42");
	assert_string_equal(place.cdev, "vfio7");
	assert_int_equal(place.node, 1);
	place_group_node("", &place, path);
	assert_string_equal(path, "/dev/vfio/42");
	place_cdev_node("", &place, path);
	assert_string_equal(path, "/dev/vfio/devices/vfio7");
	assert_int_equal(place_check_group(tree_root, &place, NULL), 0);
	assert_int_equal(place_check_cdev(tree_root, &place, NULL), 0);
}

static void test_upper_case(void **state)
{
	struct vfio_place place;

	(void)state;
	assert_int_equal(place_find(tree_root, "0000:3B:00.0", &place, NULL), 0);
	assert_string_equal(place.address, BDF);
}

static void test_no_function(void **state)
{
	struct weir_error err = { 0 };
	struct vfio_place place;

	(void)state;
	assert_int_equal(place_find(tree_root, OTHER, &place, &err), -ENOENT);
	assert_non_null(strstr(err.text, OTHER));
	assert_int_equal(place_find(tree_root, "0000:3b:00.0/../0000:3b:00.0", &place, NULL),
			 -ENOENT);
}

static void test_bare_function(void **state)
{
	struct vfio_place place;

	(void)state;
	tree_put("/sys/bus/pci/devices/" OTHER "/numa_node", "-1\n");
	assert_int_equal(place_find(tree_root, OTHER, &place, NULL), 0);
	assert_string_equal(place.driver, "");
	assert_string_equal(place.group, "");
	assert_string_equal(place.cdev, "");
	assert_int_equal(place.node, -1);
}

static void test_iommu_off(void **state)
{
	(void)state;
	tree_take(FOLDER "/iommu_group");
	expect(-EOPNOTSUPP, "intel_iommu=on");
}

/* Taken by VFIO's mode without an IOMMU. Only the group's name tells: its number has no node. */
static void test_unprotected(void **state)
{
	struct vfio_place place;

	(void)state;
	tree_put("/sys/kernel/iommu_groups/42/name", "another\n");
	place = find();
	assert_int_equal(place_check_group(tree_root, &place, NULL), 0);
	tree_put("/sys/kernel/iommu_groups/42/name", "vfio-noiommu\n");
	tree_take("/dev/vfio/42");
	tree_put("/dev/vfio/noiommu-42", "");
	tree_take(FOLDER "/vfio-dev/vfio7/dev");
	expect(-EOPNOTSUPP, "/dev/vfio/noiommu-42: without an IOMMU nothing contains its DMA, so "
			    "Weir refuses it");
	expect(-EOPNOTSUPP, "boot Linux with intel_iommu=on on an Intel machine");
}

static void test_module_missing(void **state)
{
	(void)state;
	tree_take(FOLDER "/driver");
	tree_take("/sys/bus/pci/drivers/vfio-pci/bind");
	tree_take("/sys/bus/pci/drivers/vfio-pci");
	expect(-EOPNOTSUPP, "sudo modprobe vfio-pci");
}

static void test_other_driver(void **state)
{
	struct vfio_place place;

	(void)state;
	tree_take(FOLDER "/driver");
	expect(-EOPNOTSUPP, "no driver: sudo weir bind " BDF);
	tree_put_link(FOLDER "/driver", "../../../../bus/pci/drivers/nvme");
	expect(-EBUSY, "driver nvme: sudo weir bind " BDF);
	tree_take(FOLDER "/driver");
	tree_put_link(FOLDER "/driver", "../../../../bus/pci/drivers/mlx5_vfio_pci");
	place = find();
	assert_int_equal(place_check_group(tree_root, &place, NULL), 0);
}

static void test_no_cdev(void **state)
{
	struct weir_error err = { 0 };
	struct vfio_place place;

	(void)state;
	/* Linux 6.1 has the folder, but no node. */
	tree_take(FOLDER "/vfio-dev/vfio7/dev");
	place = find();
	assert_string_equal(place.cdev, "");
	assert_int_equal(place_check_group(tree_root, &place, NULL), 0);
	assert_int_equal(place_check_cdev(tree_root, &place, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "CONFIG_VFIO_DEVICE_CDEV"));
}

static void test_nodes_missing(void **state)
{
	struct weir_error err = { 0 };
	struct vfio_place place = find();

	(void)state;
	tree_take("/dev/vfio/42");
	assert_int_equal(place_check_group(tree_root, &place, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "/dev/vfio/42"));
	assert_null(strstr(err.text, tree_root));
	assert_int_equal(place_check_cdev(tree_root, &place, NULL), 0);
	tree_take("/dev/iommu");
	assert_int_equal(place_check_cdev(tree_root, &place, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "/dev/iommu"));
	assert_non_null(strstr(err.text, "iommufd"));
}

static void test_not_viable(void **state)
{
	struct vfio_place place = find();
	struct weir_error err = { 0 };

	(void)state;
	tree_put("/sys/kernel/iommu_groups/42/devices/0000:3a:00.0", "");
	tree_put_link("/sys/bus/pci/devices/0000:3a:00.0/driver", "drivers/pcieport");
	tree_put("/sys/kernel/iommu_groups/42/devices/0000:3b:00.2", "");
	assert_int_equal(place_not_viable(tree_root, &place, &err), -EBUSY);
	assert_non_null(strstr(err.text, "group 42"));
	assert_null(strstr(err.text, "weir bind"));

	tree_put("/sys/kernel/iommu_groups/42/devices/" OTHER, "");
	tree_put_link("/sys/bus/pci/devices/" OTHER "/driver", "drivers/snd_hda_intel");
	assert_int_equal(place_not_viable(tree_root, &place, &err), -EBUSY);
	assert_non_null(strstr(err.text, "snd_hda_intel: sudo weir bind " OTHER));
}

static void test_neighbour(void **state)
{
	struct vfio_place place = find();
	char name[PLACE_NAME];

	(void)state;
	assert_false(place_neighbour(tree_root, &place, name));
	tree_put("/sys/kernel/iommu_groups/42/devices/" OTHER, "");
	tree_put_link("/sys/bus/pci/devices/" OTHER "/driver", "drivers/pcieport");
	assert_false(place_neighbour(tree_root, &place, name));
	tree_take("/sys/bus/pci/devices/" OTHER "/driver");
	tree_put_link("/sys/bus/pci/devices/" OTHER "/driver", "drivers/vfio-pci");
	assert_true(place_neighbour(tree_root, &place, name));
	assert_string_equal(name, OTHER);
}

static void test_reserved(void **state)
{
	struct vfio_place place = find();
	unsigned long long first, last;

	(void)state;
	assert_false(place_reserves(tree_root, &place, 0, UINT64_MAX, &first, &last));
	tree_put("/sys/kernel/iommu_groups/42/reserved_regions",
		 "rubbish\n"
		 "0x0000000000001000 0x0000000000001fff direct-relaxable\n"
		 "0x00000000fee00000 0x00000000feefffff msi\n"
		 "0x000000fd00000000 0x000000ffffffffff reserved\n");
	assert_false(place_reserves(tree_root, &place, 0, 0xfedfffff, &first, &last));
	assert_false(place_reserves(tree_root, &place, 0xfef00000, 0xfcffffffff, &first, &last));
	assert_true(place_reserves(tree_root, &place, 0xfeeff000, 0x100000000, &first, &last));
	assert_int_equal(first, 0xfee00000);
	assert_int_equal(last, 0xfeefffff);
	assert_true(place_reserves(tree_root, &place, 0xff00000000, UINT64_MAX, &first, &last));
	assert_int_equal(last, 0xffffffffff);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make, tree_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found),	  TEST(test_upper_case), TEST(test_no_function),
		TEST(test_bare_function), TEST(test_iommu_off),	 TEST(test_module_missing),
		TEST(test_other_driver),  TEST(test_no_cdev),	 TEST(test_nodes_missing),
		TEST(test_not_viable),	  TEST(test_neighbour),	 TEST(test_reserved),
		TEST(test_unprotected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
