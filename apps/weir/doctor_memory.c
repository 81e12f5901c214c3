/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"
#include "tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one NVMe controller takes with the defaults of weir_nvme_open(), and some air. */
#define NEEDED_MEMORY (UINT64_C(128) << 20)
#define NEEDED_FILES 64
/* 2 MiB pages that the fix reserves: 512 MiB, a few controllers' worth. */
#define SUGGESTED_PAGES 256
#define SUGGESTED_PAGES_TEXT "256"
#define DMA_ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
#define USUAL_DMA_ENTRIES 65535
#define HUGEPAGES "hugepages/hugepages-2048kB"
#define NUMA_FILE "/etc/sysctl.d/80-weir-numa.conf"
#define NODES "/sys/devices/system/node"

/* Memory, and a kernel that can populate it (MADV_POPULATE_WRITE came with 5.14). */
void doctor_check_memory(struct doctor *doctor)
{
	char *text = tree_file(doctor->root, "/proc/meminfo");
	unsigned int major, minor;
	uint64_t available;
	char release[128];

	tree_text(doctor->root, release, sizeof(release), "/proc/sys/kernel/osrelease");
	if (sscanf(release, "%u.%u", &major, &minor) == 2 &&
	    (major < 5 || (major == 5 && minor < 14)))
		doctor_report(doctor, "kernel-too-old", DOCTOR_PROBLEM, DOCTOR_BLOCKS_ALL,
			      "apt-get install -y linux-image-amd64",
			      "kernel %s is older than 5.14, the first that can populate memory "
			      "safely; reboot after the fix",
			      release);
	if (!text || !tree_meminfo(text, "MemAvailable", &available))
		doctor_report(doctor, "memory-unknown", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING, "",
			      "/proc/meminfo does not say how much memory is available");
	else if (available < NEEDED_MEMORY)
		doctor_report(doctor, "memory-low", DOCTOR_PROBLEM, DOCTOR_BLOCKS_ALL, "",
			      "%" PRIu64 " MiB of memory are available; a device needs about "
			      "%" PRIu64 " MiB: end other programs or add memory",
			      available >> 20, NEEDED_MEMORY >> 20);
	else
		doctor_report(doctor, "memory", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "%" PRIu64 " MiB of memory are available", available >> 20);
	free(text);
}

void doctor_check_memlock(struct doctor *doctor)
{
	const struct who *who = doctor->who;
	char fix[256];

	if (who->uid == 0 || who->memlock == UINT64_MAX) {
		doctor_report(doctor, "memlock", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "user %s may lock memory without limit", who->name);
		return;
	}
	if (who->memlock >= NEEDED_MEMORY) {
		doctor_report(doctor, "memlock", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "user %s may lock %" PRIu64 " MiB of memory", who->name,
			      who->memlock >> 20);
		return;
	}
	snprintf(fix, sizeof(fix),
		 "echo '%s - memlock unlimited' > /etc/security/limits.d/80-weir-%s.conf",
		 who->name, who->name);
	doctor_report(doctor, "memlock-low", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE, fix,
		      "user %s may lock %" PRIu64 " KiB of memory, and a PCI device needs about "
		      "%" PRIu64 " MiB; log in again after the fix (a systemd service needs "
		      "LimitMEMLOCK=infinity instead)",
		      who->name, who->memlock >> 10, NEEDED_MEMORY >> 20);
}

void doctor_check_limits(struct doctor *doctor)
{
	uint64_t entries;

	if (doctor->nofile < NEEDED_FILES)
		doctor_report(doctor, "files-low", DOCTOR_PROBLEM, DOCTOR_BLOCKS_ALL, "",
			      "a process may open %" PRIu64 " files, and a device needs about %d: "
			      "run 'ulimit -n 1024' in the shell that starts it",
			      doctor->nofile, NEEDED_FILES);
	if (tree_number(doctor->root, &entries, DMA_ENTRY_LIMIT) && entries < USUAL_DMA_ENTRIES)
		doctor_report(doctor, "dma-entries-low", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING,
			      "echo 65535 > " DMA_ENTRY_LIMIT,
			      "VFIO maps at most %" PRIu64 " ranges for a process: a program with "
			      "much memory in small pages runs out of them",
			      entries);
}

/* No huge page anywhere: how to have some now, and at every boot. */
static void report_no_hugepages(struct doctor *doctor)
{
	struct stat status;
	bool hugeadm = tree_stat(doctor->root, "/usr/bin/hugeadm", &status);
	char fix[256];

	snprintf(fix, sizeof(fix), "echo 'vm.nr_hugepages = %d' > /etc/sysctl.d/80-weir.conf && %s",
		 SUGGESTED_PAGES,
		 hugeadm ? "hugeadm --pool-pages-min 2MB:+" SUGGESTED_PAGES_TEXT
			 : "sysctl -q -p /etc/sysctl.d/80-weir.conf");
	doctor_report(doctor, "hugepages-none", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING, fix,
		      "no 2 MiB huge pages are reserved: everything works, with more TLB misses "
		      "and slower mapping; the fix also lasts over reboots");
}

static void check_node_hugepages(struct doctor *doctor, const char *node)
{
	uint64_t total = 0, unused = 0;
	char fix[160];

	tree_number(doctor->root, &total, NODES "/%s/" HUGEPAGES "/nr_hugepages", node);
	tree_number(doctor->root, &unused, NODES "/%s/" HUGEPAGES "/free_hugepages", node);
	snprintf(fix, sizeof(fix), "echo %" PRIu64 " > " NODES "/%s/" HUGEPAGES "/nr_hugepages",
		 total + SUGGESTED_PAGES, node);
	if (!total)
		doctor_report(doctor, "hugepages-node", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING, fix,
			      "%s has no 2 MiB huge pages, other nodes have", node);
	else if (!unused)
		doctor_report(doctor, "hugepages-used", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING, fix,
			      "all %" PRIu64 " huge pages of 2 MiB of %s are in use", total, node);
	else
		doctor_report(doctor, "hugepages", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "%" PRIu64 " of %" PRIu64 " huge pages of 2 MiB of %s are free",
			      unused, total, node);
}

void doctor_check_hugepages(struct doctor *doctor)
{
	uint64_t total = 0;
	unsigned int nr;
	char **nodes;

	if (!tree_number(doctor->root, &total,
			 "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")) {
		doctor_report(doctor, "hugepages-unsupported", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING,
			      "", "this kernel has no 2 MiB huge pages; ordinary ones are used");
		return;
	}
	if (!total) {
		report_no_hugepages(doctor);
		return;
	}
	nodes = tree_names(doctor->root, NODES, "node", &nr);
	for (unsigned int i = 0; i < nr; i++)
		check_node_hugepages(doctor, nodes[i]);
	tree_free_names(nodes);
}

static void check_node_memory(struct doctor *doctor, const char *node)
{
	char path[128], name[64];
	uint64_t total = 0, unused = 0;
	char *text;

	snprintf(path, sizeof(path), NODES "/%s/meminfo", node);
	text = tree_file(doctor->root, path);
	if (text) {
		/* "Node 0 MemTotal:       1024 kB" */
		snprintf(name, sizeof(name), "Node %s MemTotal", node + strlen("node"));
		tree_meminfo(text, name, &total);
		snprintf(name, sizeof(name), "Node %s MemFree", node + strlen("node"));
		tree_meminfo(text, name, &unused);
	}
	free(text);
	if (total)
		doctor_report(doctor, "numa-node", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "NUMA %s has %" PRIu64 " MiB of memory, %" PRIu64 " MiB free", node,
			      total >> 20, unused >> 20);
	else
		doctor_report(doctor, "numa-node-empty", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING, "",
			      "NUMA %s has no memory: devices on it use another node's", node);
}

void doctor_check_numa(struct doctor *doctor)
{
	uint64_t balancing = 0;
	unsigned int nr;
	char **nodes = tree_names(doctor->root, NODES, "node", &nr);

	for (unsigned int i = 0; i < nr; i++)
		check_node_memory(doctor, nodes[i]);
	tree_free_names(nodes);
	if (nr > 1 && tree_number(doctor->root, &balancing, "/proc/sys/kernel/numa_balancing") &&
	    balancing)
		doctor_report(doctor, "numa-balancing", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING,
			      "echo 'kernel.numa_balancing = 0' > " NUMA_FILE
			      " && sysctl -q -p " NUMA_FILE,
			      "automatic NUMA balancing is on: it interrupts polling threads with "
			      "page faults");
}
