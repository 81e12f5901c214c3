/* SPDX-License-Identifier: BSD-3-Clause */
/* weir doctor on made-up machines: a healthy one has nothing to mend, and each fault gives its own
 * finding and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "doctor.h"
#include "made_tree.h"

#define HUGEPAGES "hugepages/hugepages-2048kB"
#define ADDRESS "0000:03:00.0"
#define DEVICE "/sys/bus/pci/devices/" ADDRESS
#define MEMBERS "/sys/kernel/iommu_groups/12/devices"
#define CPU0 "/sys/devices/system/cpu/cpu0"
#define NODE0 "/sys/devices/system/node/node0"
#define NODE1 "/sys/devices/system/node/node1"

static gid_t groups[] = { 100, 101 };
static struct who who;
static struct doctor doctor;

static void put_node(const char *node, const char *meminfo)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/meminfo", node);
	tree_put(path, meminfo);
	snprintf(path, sizeof(path), "%s/" HUGEPAGES "/nr_hugepages", node);
	tree_put(path, "512\n");
	snprintf(path, sizeof(path), "%s/" HUGEPAGES "/free_hugepages", node);
	tree_put(path, "500\n");
}

/* An NVMe controller that is bound to VFIO, in group 12 with a PCIe port. */
static void put_bound_device(void)
{
	tree_put(DEVICE "/class", "0x010802\n");
	tree_put(DEVICE "/vendor", "0x1b36\n");
	tree_put(DEVICE "/device", "0x0010\n");
	tree_put_link(DEVICE "/driver", "../../../bus/pci/drivers/vfio-pci");
	tree_put_link(DEVICE "/iommu_group", "../../../kernel/iommu_groups/12");
	tree_put_link(MEMBERS "/" ADDRESS "/driver", "../../../../bus/pci/drivers/vfio-pci");
	tree_put_link(MEMBERS "/0000:00:10.0/driver", "../../../../bus/pci/drivers/pcieport");
	tree_put("/dev/vfio/vfio", "");
	assert_int_equal(chmod(tree_path("/dev/vfio/vfio"), 0666), 0);
	tree_put("/dev/vfio/12", "");
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0660), 0);
}

/* An Intel machine with two nodes where all is well. */
static int make_healthy(void **state)
{
	if (tree_make(state))
		return -1;
	tree_put("/proc/cmdline", "root=/dev/sda1 intel_iommu=on quiet\n");
	tree_put("/proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu vme\n");
	tree_put("/proc/meminfo", "MemTotal: 16384000 kB\nMemAvailable:  8192000 kB\n");
	tree_put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	tree_put("/proc/sys/kernel/numa_balancing", "0\n");
	tree_put("/sys/class/iommu/dmar0/name", "");
	tree_put("/sys/kernel/iommu_groups/0/type", "DMA\n");
	tree_put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "1024\n");
	put_node(NODE0, "Node 0 MemTotal: 8192000 kB\nNode 0 MemFree: 4096000 kB\n");
	put_node(NODE1, "Node 1 MemTotal: 8192000 kB\nNode 1 MemFree: 4096000 kB\n");
	tree_put(CPU0 "/cpufreq/scaling_governor", "performance\n");
	tree_put("/sys/bus/pci/drivers/vfio-pci/new_id", "");
	put_bound_device();
	who = (struct who){
		.name = "root",
		.groups = groups,
		.nr_groups = 2,
		.memlock = 8 << 20,
	};
	doctor = (struct doctor){ .root = tree_root, .who = &who, .nofile = 1024 };
	return 0;
}

static int end(void **state)
{
	json_decref(doctor.findings);
	doctor.findings = NULL;
	return tree_remove(state);
}

static void examine(void)
{
	json_decref(doctor.findings);
	doctor.findings = json_array();
	doctor.worst = DOCTOR_BLOCKS_NOTHING;
	doctor_run(&doctor);
}

static const char *member(const json_t *finding, const char *name)
{
	const char *text = json_string_value(json_object_get(finding, name));

	assert_non_null(text);
	return text;
}

/* The only finding that is not "ok", or NULL. */
static const json_t *only_fault(void)
{
	const json_t *finding, *fault = NULL;
	size_t i;

	examine();
	json_array_foreach(doctor.findings, i, finding)
	{
		if (!strcmp(member(finding, "severity"), "ok")) {
			assert_string_equal(member(finding, "fix"), "");
			continue;
		}
		if (fault)
			fail_msg("both %s and %s", member(fault, "id"), member(finding, "id"));
		fault = finding;
	}
	return fault;
}

static void assert_fault(const char *id, const char *severity, const char *fix)
{
	const json_t *fault = only_fault();

	assert_non_null(fault);
	assert_string_equal(member(fault, "id"), id);
	assert_string_equal(member(fault, "severity"), severity);
	assert_string_equal(member(fault, "fix"), fix);
	assert_null(strchr(member(fault, "text"), '\n'));
}

static void test_healthy(void **state)
{
	(void)state;
	assert_null(only_fault());
	assert_true(json_array_size(doctor.findings) >= 7);
	assert_int_equal(doctor.worst, DOCTOR_BLOCKS_NOTHING);
}

static void take_iommu(void)
{
	tree_take("/sys/class/iommu/dmar0/name");
	tree_take("/sys/class/iommu/dmar0");
}

static void test_iommu_parameter_missing(void **state)
{
	(void)state;
	take_iommu();
	tree_put("/proc/cmdline", "root=/dev/sda1 xintel_iommu=on\n");
	assert_fault("iommu-off", "problem",
		     "sed -i '/intel_iommu=on/!s/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on /' "
		     "/etc/default/grub && update-grub");
	assert_int_equal(doctor.worst, DOCTOR_BLOCKS_HARDWARE);
}

static void test_iommu_switched_off(void **state)
{
	(void)state;
	take_iommu();
	tree_put("/proc/cmdline", "quiet amd_iommu=off\n");
	tree_put("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
	assert_fault("iommu-off", "problem",
		     "sed -i '/^GRUB_CMDLINE_LINUX/s/\\bamd_iommu=off\\b//' /etc/default/grub && "
		     "update-grub");
}

static void test_iommu_off_in_firmware(void **state)
{
	(void)state;
	take_iommu();
	assert_fault("iommu-off", "problem", "");
}

static void test_iommu_not_in_guest(void **state)
{
	(void)state;
	take_iommu();
	tree_put("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor vme\n");
	tree_put("/proc/cmdline", "quiet\n");
	assert_fault("iommu-off", "problem", "");
}

#define SWITCH_ON \
	"sed -i '/intel_iommu=on/!s/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on /' " \
	"/etc/default/grub && update-grub"

/* What the firmware describes counts, whatever the CPU is. */
static void test_iommu_in_firmware(void **state)
{
	(void)state;
	take_iommu();
	tree_put("/sys/firmware/acpi/tables/DSDT", "");
	tree_put("/proc/cmdline", "quiet\n");
	assert_fault("iommu-off", "problem", "");
	assert_non_null(strstr(member(only_fault(), "text"), "VT-d is off in the firmware"));
	tree_put("/sys/firmware/acpi/tables/DMAR", "");
	assert_fault("iommu-off", "problem", SWITCH_ON);
	tree_put("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor vme\n");
	assert_fault("iommu-off", "problem", SWITCH_ON);
	/* It has been asked for, among other things. */
	tree_put("/proc/cmdline", "intel_iommu=sm_off,on quiet\n");
	assert_fault("iommu-off", "problem", "");
	assert_non_null(strstr(member(only_fault(), "text"), "dmesg"));
	tree_put("/proc/cmdline", "intel_iommu=sm_on,off\n");
	assert_non_null(strstr(member(only_fault(), "text"), "started with intel_iommu=off"));
	tree_put("/proc/cmdline", "quiet\n");
	tree_take("/sys/firmware/acpi/tables/DMAR");
	tree_put("/sys/firmware/acpi/tables/IVRS", "");
	assert_fault("iommu-off", "problem", "");
	assert_non_null(strstr(member(only_fault(), "text"), "dmesg"));
}

/* A device that nobody could open is not reported as well. */
static void test_iommu_off_with_bound_device(void **state)
{
	(void)state;
	take_iommu();
	tree_take("/dev/vfio/12");
	assert_fault("iommu-off", "problem", "");
}

static void test_vfio_not_loaded(void **state)
{
	(void)state;
	tree_take(DEVICE "/driver");
	tree_take(MEMBERS "/" ADDRESS "/driver");
	tree_take("/sys/bus/pci/drivers/vfio-pci/new_id");
	tree_take("/sys/bus/pci/drivers/vfio-pci");
	tree_take("/dev/vfio/vfio");
	tree_put("/lib/modules/6.1.0-18-amd64/modules.dep",
		 "kernel/drivers/vfio/pci/vfio-pci.ko: kernel/drivers/vfio/vfio.ko\n");
	assert_fault("vfio-pci-not-loaded", "problem",
		     "modprobe vfio-pci && mkdir -p /etc/modules-load.d && "
		     "echo vfio-pci > /etc/modules-load.d/weir.conf");
	tree_put("/lib/modules/6.1.0-18-amd64/modules.dep", "kernel/fs/ext4/ext4.ko:\n");
	assert_fault("vfio-pci-missing", "problem", "apt-get install -y linux-image-amd64");
	/* Built in: only the nodes are missing. */
	tree_put("/lib/modules/6.1.0-18-amd64/modules.builtin",
		 "kernel/drivers/vfio/pci/vfio-pci.ko\n");
	assert_fault("vfio-nodes-missing", "problem", "");
	tree_put("/dev/iommu", "");
	assert_null(only_fault());
}

/* What the kernel has can be made again; with its devices there is no more than the one finding. */
static void test_vfio_nodes(void **state)
{
	(void)state;
	tree_take("/dev/vfio/vfio");
	tree_put("/sys/class/misc/vfio/dev", "10:196\n");
	assert_fault("vfio-nodes-missing", "problem",
		     "mkdir -p /dev/vfio && mknod -m 666 /dev/vfio/vfio c 10 196");
	tree_take("/sys/class/misc/vfio/dev");
	tree_put("/sys/class/misc/iommu/dev", "10:123\n");
	assert_fault("vfio-nodes-missing", "problem",
		     "mkdir -p /dev && mknod -m 666 /dev/iommu c 10 123");
	/* No numbers of a device. */
	tree_put("/sys/class/misc/iommu/dev", "x; reboot\n");
	assert_fault("vfio-nodes-missing", "problem", "");
}

static void become_user(void)
{
	strcpy(who.name, "ann");
	who.uid = 1000;
	who.memlock = UINT64_MAX;
}

static void test_vfio_permission(void **state)
{
	struct stat status;

	(void)state;
	become_user();
	assert_fault("vfio-permission", "problem", "weir bind " ADDRESS " --user ann");
	assert_non_null(strstr(member(only_fault(), "text"), "/dev/vfio/12"));

	/* The group's member, the owner, and everybody. */
	assert_int_equal(stat(tree_path("/dev/vfio/12"), &status), 0);
	gid_t own[] = { 7, status.st_gid };

	who.groups = own;
	assert_null(only_fault());
	who.groups = groups;
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0666), 0);
	assert_null(only_fault());
}

static void test_unsafe_mode(void **state)
{
	(void)state;
	tree_put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	assert_fault("vfio-noiommu", "note",
		     "echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
}

static void test_memlock(void **state)
{
	(void)state;
	become_user();
	assert_int_equal(chmod(tree_path("/dev/vfio/12"), 0666), 0);
	who.memlock = 8 << 20;
	assert_fault("memlock-low", "problem",
		     "echo 'ann - memlock unlimited' > /etc/security/limits.d/80-weir-ann.conf");
	assert_non_null(strstr(member(only_fault(), "text"), "8192 KiB"));
	who.memlock = UINT64_C(1) << 30;
	assert_null(only_fault());
}

static void test_hugepages(void **state)
{
	(void)state;
	tree_put(NODE1 "/" HUGEPAGES "/free_hugepages", "0\n");
	assert_fault("hugepages-used", "note", "echo 768 > " NODE1 "/" HUGEPAGES "/nr_hugepages");
	tree_put(NODE1 "/" HUGEPAGES "/nr_hugepages", "0\n");
	assert_fault("hugepages-node", "note", "echo 256 > " NODE1 "/" HUGEPAGES "/nr_hugepages");
	tree_put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
	assert_fault("hugepages-none", "note",
		     "echo 'vm.nr_hugepages = 256' > /etc/sysctl.d/80-weir.conf && "
		     "sysctl -q -p /etc/sysctl.d/80-weir.conf");
	tree_put("/usr/bin/hugeadm", "");
	assert_fault("hugepages-none", "note",
		     "echo 'vm.nr_hugepages = 256' > /etc/sysctl.d/80-weir.conf && "
		     "hugeadm --pool-pages-min 2MB:+256");
	tree_take("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
	assert_fault("hugepages-unsupported", "note", "");
}

static void test_dma_entries(void **state)
{
	(void)state;
	tree_put("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "65535\n");
	assert_null(only_fault());
	tree_put("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "100\n");
	assert_fault("dma-entries-low", "note",
		     "echo 65535 > /sys/module/vfio_iommu_type1/parameters/dma_entry_limit");
}

static void test_numa(void **state)
{
	(void)state;
	tree_put("/proc/sys/kernel/numa_balancing", "1\n");
	assert_fault("numa-balancing", "note",
		     "echo 'kernel.numa_balancing = 0' > /etc/sysctl.d/80-weir-numa.conf && "
		     "sysctl -q -p /etc/sysctl.d/80-weir-numa.conf");
	tree_put("/proc/sys/kernel/numa_balancing", "0\n");
	tree_put(NODE1 "/meminfo", "Node 1 MemTotal: 0 kB\n");
	assert_fault("numa-node-empty", "note", "");
}

static void test_governor(void **state)
{
	(void)state;
	tree_put("/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
	assert_fault("cpu-governor", "note",
		     "for f in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do echo "
		     "performance > $f; done");
	assert_non_null(strstr(member(only_fault(), "text"), "1 of 2 CPUs is powersave"));
}

static void put_idle_state(const char *name, const char *latency)
{
	char path[128];

	snprintf(path, sizeof(path), CPU0 "/cpuidle/%s/latency", name);
	tree_put(path, latency);
	snprintf(path, sizeof(path), CPU0 "/cpuidle/%s/name", name);
	tree_put(path, "C6\n");
	snprintf(path, sizeof(path), CPU0 "/cpuidle/%s/disable", name);
	tree_put(path, "0\n");
}

static void test_idle(void **state)
{
	(void)state;
	put_idle_state("state0", "0\n");
	put_idle_state("state1", "20\n");
	assert_null(only_fault());
	put_idle_state("state2", "133\n");
	assert_fault("cpu-idle", "note",
		     "for d in /sys/devices/system/cpu/cpu*/cpuidle/state*; do "
		     "[ $(cat $d/latency) -le 20 ] || echo 1 > $d/disable; done");
	assert_non_null(strstr(member(only_fault(), "text"), "133 us to leave its idle state C6"));
	tree_put(CPU0 "/cpuidle/state2/disable", "1\n");
	assert_null(only_fault());
}

#define MASK_FIX(mask) \
	"for f in /proc/irq/default_smp_affinity /proc/irq/*/smp_affinity; do echo " mask \
	" > $f; done 2>/dev/null; true"

static void test_isolated(void **state)
{
	(void)state;
	tree_put("/sys/devices/system/cpu/isolated", "\n");
	tree_put("/proc/irq/default_smp_affinity", "ff\n");
	assert_null(only_fault());
	tree_put("/sys/devices/system/cpu/isolated", "2-3,7\n");
	assert_fault("cpu-interrupts", "note", MASK_FIX("00000073"));
	tree_put("/proc/irq/default_smp_affinity", "73\n");
	assert_null(only_fault());
	tree_put("/sys/devices/system/cpu/isolated", "33\n");
	assert_null(only_fault());
	tree_put("/proc/irq/default_smp_affinity", "f,ffffffff\n");
	assert_fault("cpu-interrupts", "note", MASK_FIX("0000000d,ffffffff"));
	/* All are: no mask is left. */
	tree_put("/sys/devices/system/cpu/isolated", "0-35\n");
	assert_fault("cpu-interrupts", "note", "");
	/* No mask, and no list. */
	tree_put("/proc/irq/default_smp_affinity", "f,,f\n");
	assert_null(only_fault());
	tree_put("/proc/irq/default_smp_affinity", "f\n");
	tree_put("/sys/devices/system/cpu/isolated", "all\n");
	assert_null(only_fault());
}

static void test_blocks_everything(void **state)
{
	(void)state;
	tree_put("/proc/meminfo", "MemAvailable: 65536 kB\n");
	assert_fault("memory-low", "problem", "");
	assert_int_equal(doctor.worst, DOCTOR_BLOCKS_ALL);
	tree_put("/proc/meminfo", "MemAvailable: 8192000 kB\n");
	doctor.nofile = 20;
	assert_fault("files-low", "problem", "");
	assert_int_equal(doctor.worst, DOCTOR_BLOCKS_ALL);
	doctor.nofile = 1024;
	tree_put("/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n");
	assert_fault("kernel-too-old", "problem", "apt-get install -y linux-image-amd64");
	assert_int_equal(doctor.worst, DOCTOR_BLOCKS_ALL);
}

/* Nothing to read at all: findings, and no crash. */
static void test_empty_tree(void **state)
{
	(void)state;
	doctor.root = "/nonexistent";
	examine();
	assert_true(json_array_size(doctor.findings) >= 4);
}

/* Files with nonsense in them. */
static void test_nonsense(void **state)
{
	char *noise = malloc(100001);

	(void)state;
	assert_non_null(noise);
	memset(noise, 'x', 100000);
	noise[100000] = '\0';
	tree_put("/proc/cmdline", noise);
	tree_put("/proc/meminfo", "MemAvailable: lots");
	tree_put("/proc/sys/kernel/osrelease", noise);
	tree_put(NODE0 "/" HUGEPAGES "/nr_hugepages", "-5\n");
	tree_put(CPU0 "/cpufreq/scaling_governor", noise);
	free(noise);
	examine();
	assert_true(json_array_size(doctor.findings) >= 4);
}

#define MACHINE_TEST(test) cmocka_unit_test_setup_teardown(test, make_healthy, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_healthy),
		MACHINE_TEST(test_iommu_parameter_missing),
		MACHINE_TEST(test_iommu_switched_off),
		MACHINE_TEST(test_iommu_off_in_firmware),
		MACHINE_TEST(test_iommu_not_in_guest),
		MACHINE_TEST(test_iommu_in_firmware),
		MACHINE_TEST(test_iommu_off_with_bound_device),
		MACHINE_TEST(test_vfio_not_loaded),
		MACHINE_TEST(test_vfio_nodes),
		MACHINE_TEST(test_vfio_permission),
		MACHINE_TEST(test_unsafe_mode),
		MACHINE_TEST(test_memlock),
		MACHINE_TEST(test_hugepages),
		MACHINE_TEST(test_dma_entries),
		MACHINE_TEST(test_numa),
		MACHINE_TEST(test_governor),
		MACHINE_TEST(test_idle),
		MACHINE_TEST(test_isolated),
		MACHINE_TEST(test_blocks_everything),
		MACHINE_TEST(test_empty_tree),
		MACHINE_TEST(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
