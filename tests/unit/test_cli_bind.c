/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bind and unbind on a made-up machine, whose kernel is this test. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bind.h"
#include "made_pci.h"
#include "tree.h"

#define ADDRESS "0000:03:00.0"
#define OTHER "0000:03:00.1"
#define FAR "0000:04:00.0"
#define RULES "/etc/udev/rules.d/80-weir-" ADDRESS ".rules"
#define MODULES "/etc/modules-load.d/weir-bind.conf"

/* The kernel: which write fails, what vfio-pci refuses. */
static struct {
	const char *fails; /* a part of "PATH=TEXT" */
	const char *refused; /* address that vfio-pci does not take */
	bool has_module;
	unsigned int writes, settled;
} machine;

static struct weir_error err;
static struct bind bind;

static void probe(const char *address)
{
	char override[64];

	tree_text(tree_root, override, sizeof(override), PCI "/%s/driver_override", address);
	if (!strcmp(override, "vfio-pci")) {
		if (machine.refused && !strcmp(machine.refused, address))
			return;
		pci_put_driver(address, "vfio-pci");
	} else if (!*override) {
		pci_put_driver(address, "nvme");
	}
}

static int fake_write(void *ctx, const char *root, const char *path, const char *text)
{
	char all[300], address[PCI_ADDRESS_BYTES], driver[64];

	(void)ctx;
	assert_ptr_equal(root, tree_root);
	machine.writes++;
	snprintf(all, sizeof(all), "%s=%s", path, text);
	if (machine.fails && strstr(all, machine.fails))
		return -EIO;
	if (sscanf(path, PCI "/%12s/driver_override", address) == 1) {
		tree_put(path, strcmp(text, "\n") ? text : "");
	} else if (!strcmp(path, "/sys/bus/pci/drivers_probe")) {
		probe(text);
	} else if (sscanf(path, "/sys/bus/pci/drivers/%63[^/]", driver) == 1) {
		struct stat status;

		if (!tree_stat(tree_root, path, &status))
			return -ENOENT;
		pci_put_driver(text, strstr(path, "/unbind") ? "" : driver);
	} else {
		fail_msg("a write to %s", path);
	}
	return 0;
}

static int fake_load(void *ctx, const char *module)
{
	(void)ctx;
	if (!strcmp(module, "nvme"))
		pci_put_drivers("nvme");
	else if (machine.has_module)
		pci_put_drivers(module);
	else
		return -ENOENT;
	return 0;
}

static int fake_settle(void *ctx)
{
	(void)ctx;
	machine.settled++;
	return 0;
}

static const struct bind_kernel kernel = {
	.write = fake_write,
	.load = fake_load,
	.settle = fake_settle,
};

/* Two functions in group 12, one more in group 13, all of nvme. */
static int make_machine(void **state)
{
	if (tree_make(state))
		return -1;
	machine = (typeof(machine)){ .has_module = true };
	pci_put_drivers("nvme");
	pci_put("0000:00:10.0", "0x060400\n", "pcieport", "12");
	pci_put(ADDRESS, "0x010802\n", "nvme", "12");
	pci_put(OTHER, "0x010802\n", "nvme", "12");
	pci_put(FAR, "0x010802\n", "nvme", "13");
	tree_put("/dev/vfio/12", "");
	tree_put("/dev/vfio/13", "");
	bind = (struct bind){ .root = tree_root,
			      .kernel = &kernel,
			      .out = fopen("/dev/null", "w") };
	return bind.out ? 0 : -1;
}

static int end(void **state)
{
	fclose(bind.out);
	return tree_remove(state);
}

static void assert_driver(const char *address, const char *expected)
{
	char driver[64];

	tree_link(tree_root, driver, sizeof(driver), PCI "/%s/driver", address);
	assert_string_equal(driver, expected);
}

static bool is_there(const char *path)
{
	struct stat status;

	return tree_stat(tree_root, path, &status);
}

static int run(int (*what)(const struct bind *, char *const *, struct weir_error *),
	       const char *first, const char *second)
{
	char *addresses[] = { (char *)first, (char *)second, NULL };

	memset(&err, 0, sizeof(err));
	return what(&bind, addresses, &err);
}

static void assert_ok(int rc)
{
	if (rc)
		fail_msg("%d: %s", rc, err.text);
}

static void assert_text(const char *text)
{
	if (!strstr(err.text, text))
		fail_msg("'%s' lacks '%s'", err.text, text);
}

static void test_there_and_back(void **state)
{
	struct bind_state before;

	(void)state;
	assert_ok(run(bind_functions, FAR, NULL));
	assert_driver(FAR, "vfio-pci");
	assert_driver(ADDRESS, "nvme");
	assert_true(bind_state_load(tree_root, FAR, &before));
	assert_string_equal(before.driver, "nvme");
	assert_string_equal(before.override, "");
	/* Once more changes nothing. */
	machine.writes = 0;
	assert_ok(run(bind_functions, "04:00.0", FAR));
	assert_int_equal(machine.writes, 0);
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "nvme");
	assert_false(bind_state_load(tree_root, FAR, &before));
	assert_int_equal(run(unbind_functions, FAR, NULL), -EINVAL);
	assert_text("is bound to nvme, not to vfio-pci");
}

/* What was in driver_override before comes back, and no driver stays none. */
static void test_restores_override(void **state)
{
	char text[64];

	(void)state;
	tree_put(PCI "/" FAR "/driver_override", "nvme\n");
	assert_ok(run(bind_functions, FAR, NULL));
	assert_ok(run(unbind_functions, FAR, NULL));
	tree_text(tree_root, text, sizeof(text), PCI "/" FAR "/driver_override");
	assert_string_equal(text, "nvme");
	pci_put_driver(FAR, "");
	assert_ok(run(bind_functions, FAR, NULL));
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "");
}

/* Bound at boot by a rule: nothing is known, and the kernel chooses. */
static void test_unbind_without_state(void **state)
{
	(void)state;
	pci_put_drivers("vfio-pci");
	tree_put(PCI "/" FAR "/driver_override", "vfio-pci\n");
	pci_put_driver(FAR, "vfio-pci");
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "nvme");
	/* The rule had set the override, the initramfs the driver. */
	tree_put(PCI "/" FAR "/driver_override", "vfio-pci\n");
	assert_ok(run(bind_functions, FAR, NULL));
	assert_driver(FAR, "vfio-pci");
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "nvme");
}

static void test_old_driver_unloaded(void **state)
{
	(void)state;
	assert_ok(run(bind_functions, FAR, NULL));
	tree_take("/sys/bus/pci/drivers/nvme/bind");
	tree_take("/sys/bus/pci/drivers/nvme/unbind");
	tree_take("/sys/bus/pci/drivers/nvme");
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "nvme");
}

static void test_group(void **state)
{
	(void)state;
	assert_int_equal(run(bind_functions, ADDRESS, NULL), -EPERM);
	assert_text("IOMMU group 12 would not be viable: " OTHER
		    " is bound to nvme; bind all of it "
		    "with 'weir bind " ADDRESS " " OTHER "'");
	assert_int_equal(machine.writes, 0);
	assert_ok(run(bind_functions, ADDRESS, OTHER));
	assert_driver(ADDRESS, "vfio-pci");
	assert_driver(OTHER, "vfio-pci");
}

/* A command that would not be enough is not printed. */
static void test_group_large(void **state)
{
	char address[PCI_ADDRESS_BYTES];

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		snprintf(address, sizeof(address), "0000:05:00.%u", i);
		pci_put(address, "0x020000\n", "igb", "13");
	}
	assert_int_equal(run(bind_functions, FAR, NULL), -EPERM);
	assert_text("0000:05:00.0 is bound to igb; all 8 that are in the way, shown above, have "
		    "to leave their drivers");
	tree_put_link(GROUPS "/12/devices/dma1/driver", "../drivers/plain");
	assert_int_equal(run(bind_functions, ADDRESS, OTHER), -EPERM);
	assert_text("dma1 is bound to plain; all 1 that");
	assert_int_equal(machine.writes, 0);
}

static void test_refusals(void **state)
{
	(void)state;
	assert_int_equal(run(bind_functions, "../../etc", NULL), -EINVAL);
	assert_int_equal(run(bind_functions, "0000:99:00.0", NULL), -ENODEV);
	assert_int_equal(run(bind_functions, "0000:00:10.0", NULL), -EINVAL);
	assert_text("is a bridge");
	tree_put_link("/sys/class/net/eth0", "../../devices/pci0000:00/" FAR "/net/eth0");
	tree_put("/sys/devices/pci0000:00/" FAR "/net/eth0/upper_br0/x", "");
	assert_int_equal(run(bind_functions, FAR, NULL), -EBUSY);
	assert_text("eth0 is part of br0");
	tree_take("/sys/class/net/eth0");
	tree_take(PCI "/" FAR "/iommu_group");
	assert_int_equal(run(bind_functions, FAR, NULL), -ENODEV);
	assert_text("in no IOMMU group");
	pci_put_group("0000:05:00.0", "14");
	assert_int_equal(run(bind_functions, "0000:05:00.0", NULL), -ENODEV);
	assert_int_equal(machine.writes, 0);
}

static void test_no_module(void **state)
{
	(void)state;
	machine.has_module = false;
	assert_int_equal(run(bind_functions, FAR, NULL), -ENOENT);
	assert_text("cannot load the vfio-pci module");
	assert_driver(FAR, "nvme");
}

/* Whatever fails, every function has its driver and its override again, and no state is left. */
static void test_restores_after_failure(void **state)
{
	static const char *const failures[] = {
		PCI "/" OTHER "/driver_override=vfio-pci",
		"nvme/unbind=" OTHER,
		"drivers_probe=" OTHER,
	};
	struct bind_state before;
	char text[64];

	(void)state;
	for (unsigned int i = 0; i <= 3; i++) {
		machine.fails = i < 3 ? failures[i] : NULL;
		machine.refused = i < 3 ? NULL : OTHER;
		assert_int_equal(run(bind_functions, ADDRESS, OTHER), -EIO);
		assert_text(i < 3 ? "cannot write" : "bound to no driver");
		assert_driver(ADDRESS, "nvme");
		assert_driver(OTHER, "nvme");
		assert_false(bind_state_load(tree_root, ADDRESS, &before));
		assert_false(bind_state_load(tree_root, OTHER, &before));
		tree_text(tree_root, text, sizeof(text), PCI "/" OTHER "/driver_override");
		assert_true(!*text || !strcmp(text, "(null)"));
	}
}

static void test_node_missing(void **state)
{
	(void)state;
	bind.access = (struct bind_access){
		.uid = getuid(), .gid = (gid_t)-1, .mode = 0600, .option = "--user ann"
	};
	tree_take("/dev/vfio/13");
	assert_int_equal(run(bind_functions, FAR, NULL), -ENOENT);
	assert_driver(FAR, "nvme");
}

static void test_access(void **state)
{
	struct stat status;

	(void)state;
	bind.access = (struct bind_access){
		.uid = getuid(), .gid = (gid_t)-1, .mode = 0600, .option = "--user ann"
	};
	tree_put(PCI "/" FAR "/vfio-dev/vfio4/dev", "");
	tree_put("/dev/vfio/devices/vfio4", "");
	tree_put("/dev/vfio/devices/vfio5", "");
	tree_put("/dev/iommu", "");
	tree_put("/dev/vfio/vfio", "");
	assert_int_equal(chmod(tree_path("/dev/vfio/vfio"), 0600), 0);
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0640), 0);
	assert_int_equal(chmod(tree_path("/dev/vfio/devices/vfio5"), 0640), 0);
	assert_ok(run(bind_functions, FAR, NULL));
	assert_int_equal(machine.settled, 1);
	assert_true(tree_stat(tree_root, "/dev/vfio/13", &status));
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_true(tree_stat(tree_root, "/dev/vfio/devices/vfio4", &status));
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_true(tree_stat(tree_root, "/dev/iommu", &status));
	assert_int_equal(status.st_mode & 0777, 0666);
	assert_true(tree_stat(tree_root, "/dev/vfio/vfio", &status));
	assert_int_equal(status.st_mode & 0777, 0666);
	/* Others' nodes are left alone. */
	assert_true(tree_stat(tree_root, "/dev/vfio/12", &status));
	assert_int_equal(status.st_mode & 0777, 0640);
	assert_true(tree_stat(tree_root, "/dev/vfio/devices/vfio5", &status));
	assert_int_equal(status.st_mode & 0777, 0640);
}

/* A link in place of a node is not followed. */
static void test_access_link(void **state)
{
	struct stat status;

	(void)state;
	bind.access = (struct bind_access){
		.uid = getuid(), .gid = (gid_t)-1, .mode = 0666, .option = "--user ann"
	};
	tree_put("/etc/shadow", "");
	assert_int_equal(chmod(tree_path("/etc/shadow"), 0600), 0);
	tree_take("/dev/vfio/13");
	tree_put_link("/dev/vfio/13", "../../etc/shadow");
	assert_true(run(bind_functions, FAR, NULL) < 0);
	assert_true(tree_stat(tree_root, "/etc/shadow", &status));
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_driver(FAR, "nvme");
}

/* A rule binds its function, whatever the others of the group have yet. */
static void test_boot(void **state)
{
	(void)state;
	bind.boot = true;
	assert_ok(run(bind_functions, ADDRESS, NULL));
	assert_driver(ADDRESS, "vfio-pci");
	assert_driver(OTHER, "nvme");
}

/* The rule came before any driver: which it would have had is the kernel's choice. */
static void test_boot_without_driver(void **state)
{
	(void)state;
	pci_put_driver(FAR, "");
	tree_put(PCI "/" FAR "/driver_override", "vfio-pci\n");
	bind.boot = true;
	assert_ok(run(bind_functions, FAR, NULL));
	assert_driver(FAR, "vfio-pci");
	bind.boot = false;
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "nvme");
}

/* What udev's rule runs: gives access to what is bound, binds nothing. */
static void test_nodes(void **state)
{
	struct stat status;

	(void)state;
	bind.access = (struct bind_access){
		.uid = getuid(), .gid = (gid_t)-1, .mode = 0600, .option = "--user ann"
	};
	assert_int_equal(chmod(tree_path("/dev/vfio/13"), 0640), 0);
	assert_ok(run(bind_nodes, FAR, NULL));
	assert_true(tree_stat(tree_root, "/dev/vfio/13", &status));
	assert_int_equal(status.st_mode & 0777, 0640);
	pci_put_driver(FAR, "vfio-pci");
	assert_ok(run(bind_nodes, FAR, NULL));
	assert_true(tree_stat(tree_root, "/dev/vfio/13", &status));
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(machine.writes, 0);
}

static void test_find_access(void **state)
{
	struct bind_access access;

	(void)state;
	assert_int_equal(bind_find_access("root", NULL, &access, &err), 0);
	assert_int_equal(access.uid, 0);
	assert_int_equal(access.mode, 0600);
	assert_int_equal(bind_find_access(NULL, "root", &access, &err), 0);
	assert_int_equal(access.gid, 0);
	assert_int_equal(access.mode, 0660);
	assert_string_equal(access.option, "--group root");
	assert_int_equal(bind_find_access("12345", NULL, &access, &err), 0);
	assert_int_equal(access.uid, 12345);
	assert_int_equal(bind_find_access("root", "root", &access, &err), -EINVAL);
	assert_int_equal(bind_find_access("no-such-user", NULL, &access, &err), -ENOENT);
	assert_int_equal(bind_find_access("4294967295", NULL, &access, &err), -ENOENT);
	assert_int_equal(bind_find_access("a\", RUN+=\"x", NULL, &access, &err), -EINVAL);
	assert_int_equal(bind_find_access(NULL, NULL, &access, &err), 0);
	assert_int_equal(access.mode, 0);
}

static void test_persist(void **state)
{
	char *text;

	(void)state;
	bind.persist = true;
	bind.access = (struct bind_access){
		.uid = getuid(), .gid = (gid_t)-1, .mode = 0600, .option = "--user ann"
	};
	assert_ok(run(bind_functions, ADDRESS, OTHER));
	text = tree_file(tree_root, RULES);
	assert_non_null(text);
	assert_non_null(strstr(text, "KERNEL==\"" ADDRESS "\", ATTR{vendor}==\"0x1b36\", "
				     "ATTR{device}==\"0x0010\", "
				     "ATTR{driver_override}=\"vfio-pci\""));
	assert_non_null(strstr(text, " bind --boot " ADDRESS " --user ann\"\n"));
	assert_non_null(strstr(text, " bind --nodes " ADDRESS " --user ann\"\n"));
	free(text);
	text = tree_file(tree_root, MODULES);
	assert_string_equal(text, "vfio-pci\n");
	free(text);

	/* The module is loaded for as long as one function needs it. */
	assert_ok(run(unbind_functions, ADDRESS, NULL));
	assert_false(is_there(RULES));
	assert_true(is_there(MODULES));
	bind.persist = false;
	assert_ok(run(unbind_functions, OTHER, NULL));
	assert_true(bind_is_persistent(tree_root, OTHER));
	/* Also when it is not bound any more. */
	bind.persist = true;
	assert_ok(run(unbind_functions, OTHER, NULL));
	assert_false(bind_is_persistent(tree_root, OTHER));
	assert_false(is_there(MODULES));
}

static void test_persist_fails(void **state)
{
	(void)state;
	bind.persist = true;
	tree_put("/etc/modules-load.d", "a file where a folder should be");
	assert_true(run(bind_functions, FAR, NULL) < 0);
	assert_text("cannot write " MODULES);
	assert_driver(FAR, "nvme");
	assert_false(bind_is_persistent(tree_root, FAR));
}

static void test_dry_run(void **state)
{
	(void)state;
	bind.dry_run = true;
	bind.persist = true;
	bind.access = (struct bind_access){
		.uid = getuid(), .gid = (gid_t)-1, .mode = 0600, .option = "--user ann"
	};
	assert_ok(run(bind_functions, FAR, NULL));
	assert_int_equal(run(bind_functions, ADDRESS, NULL), -EPERM);
	assert_driver(FAR, "nvme");
	assert_false(is_there("/run"));
	assert_false(is_there("/etc"));
	assert_false(is_there("/sys/bus/pci/drivers/vfio-pci"));
	pci_put_driver(FAR, "vfio-pci");
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "vfio-pci");
	pci_put_driver(FAR, "nvme");
	tree_put("/run/weir/bind/" FAR ".json", "{}");
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_true(is_there("/run/weir/bind/" FAR ".json"));
	assert_int_equal(machine.writes, 0);
}

static void test_unbind_open(void **state)
{
	(void)state;
	assert_ok(run(bind_functions, FAR, NULL));
	tree_put("/proc/77/comm", "fio\n");
	tree_put_link("/proc/77/fd/3", "/dev/vfio/13");
	assert_int_equal(run(unbind_functions, FAR, NULL), -EBUSY);
	assert_text("/dev/vfio/13 is open in fio (process 77)");
	assert_driver(FAR, "vfio-pci");
}

/* Taken without an IOMMU, by somebody else: it can only be given back. */
static void test_unprotected(void **state)
{
	(void)state;
	pci_put_drivers("vfio-pci");
	pci_put_driver(FAR, "vfio-pci");
	tree_put(GROUPS "/13/name", "vfio-noiommu\n");
	assert_int_equal(run(bind_functions, FAR, NULL), -ENODEV);
	assert_text(FAR " is /dev/vfio/noiommu-13, taken without an IOMMU: nothing contains its "
			"DMA, so Weir refuses it; 'weir unbind " FAR "' gives it back");
	assert_int_equal(machine.writes, 0);
	tree_put("/proc/77/comm", "testpmd\n");
	tree_put_link("/proc/77/fd/3", "/dev/vfio/noiommu-13");
	assert_int_equal(run(unbind_functions, FAR, NULL), -EBUSY);
	assert_text("/dev/vfio/noiommu-13 is open in testpmd (process 77)");
	tree_take("/proc/77/fd/3");
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "nvme");
}

/* A state that leads out of /sys/bus/pci/drivers is none. */
static void test_malicious_state(void **state)
{
	static const char long_driver[] =
		"{\"driver\": \""
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"\", \"override\": \"\"}";
	static const char *const texts[] = {
		"{\"driver\": \"../../../tmp\", \"override\": \"\"}",
		"{\"driver\": \"..\", \"override\": \"\"}",
		"{\"driver\": 1, \"override\": \"\"}",
		"{\"driver\": \"nvme\"}",
		"[]",
		"{",
		"",
		"{\"driver\": \"a\\nb\", \"override\": \"\"}",
		long_driver,
	};
	struct bind_state before;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		tree_put("/run/weir/bind/" FAR ".json", texts[i]);
		assert_false(bind_state_load(tree_root, FAR, &before));
		assert_string_equal(before.driver, "");
	}
	pci_put_drivers("vfio-pci");
	pci_put_driver(FAR, "vfio-pci");
	assert_ok(run(unbind_functions, FAR, NULL));
	assert_driver(FAR, "nvme");
}

#define MACHINE_TEST(test) cmocka_unit_test_setup_teardown(test, make_machine, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_there_and_back),
		MACHINE_TEST(test_restores_override),
		MACHINE_TEST(test_unbind_without_state),
		MACHINE_TEST(test_old_driver_unloaded),
		MACHINE_TEST(test_group),
		MACHINE_TEST(test_group_large),
		MACHINE_TEST(test_refusals),
		MACHINE_TEST(test_no_module),
		MACHINE_TEST(test_restores_after_failure),
		MACHINE_TEST(test_node_missing),
		MACHINE_TEST(test_access),
		MACHINE_TEST(test_access_link),
		MACHINE_TEST(test_boot),
		MACHINE_TEST(test_boot_without_driver),
		MACHINE_TEST(test_nodes),
		cmocka_unit_test(test_find_access),
		MACHINE_TEST(test_persist),
		MACHINE_TEST(test_persist_fails),
		MACHINE_TEST(test_dry_run),
		MACHINE_TEST(test_unbind_open),
		MACHINE_TEST(test_unprotected),
		MACHINE_TEST(test_malicious_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
