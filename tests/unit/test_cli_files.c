/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that the command reads and makes: the list of PCI functions, and output that is there as a
 * whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "made_tree.h"
#include "output.h"
#include "output_file.h"
#include "pci_list.h"
#include "tree.h"

#define PCI "/sys/bus/pci/devices/"

static struct weir_error err;

static void put_function(const char *address, const char *class_code, const char *vendor,
			 const char *device)
{
	char path[128];

	snprintf(path, sizeof(path), PCI "%s/class", address);
	tree_put(path, class_code);
	snprintf(path, sizeof(path), PCI "%s/vendor", address);
	tree_put(path, vendor);
	snprintf(path, sizeof(path), PCI "%s/device", address);
	tree_put(path, device);
}

static const char *text_of(const json_t *list, size_t i, const char *name)
{
	return json_string_value(json_object_get(json_array_get(list, i), name));
}

static const struct who nobody = { .name = "ann", .uid = 1000 };

static void test_pci_list(void **state)
{
	struct pci_names *names;
	json_t *list;

	(void)state;
	put_function("0000:10:00.0", "0x020000", "0x8086", "0x10c9");
	put_function("0000:02:00.0", "0x010802", "0x144d", "0xa808");
	put_function("0000:00:1f.0", "0x060100", "0x8086", "0x1234");
	put_function("0000:03:00.0", "0x010802", "rubbish", "0x1");
	tree_put_link(PCI "0000:02:00.0/driver", "../../../bus/pci/drivers/nvme");
	tree_put_link(PCI "0000:02:00.0/iommu_group", "../../../kernel/iommu_groups/14");
	tree_put(PCI "0000:02:00.0/numa_node", "1\n");
	tree_put(PCI "0000:10:00.0/numa_node", "-1\n");

	assert_null(pci_names_open(tree_root));
	tree_put("/usr/share/misc/pci.ids",
		 "# comment\n\n10c9  A trap\n144d  Samsung\n\ta800  Another\n\t\t8086 a808  Sub\n"
		 "\ta808  SM981\n8086  Intel\n\t1234  Bridge\n");
	names = pci_names_open(tree_root);
	assert_non_null(names);
	list = pci_list(tree_root, &nobody, names);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text_of(list, 0, "address"), "0000:02:00.0");
	assert_string_equal(text_of(list, 0, "name"), "Samsung SM981");
	assert_string_equal(text_of(list, 0, "driver"), "nvme");
	assert_string_equal(text_of(list, 0, "iommu_group"), "14");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "node")), 1);
	assert_string_equal(text_of(list, 1, "address"), "0000:10:00.0");
	assert_string_equal(text_of(list, 1, "name"), "Intel Ethernet controller 10c9");
	assert_null(text_of(list, 1, "driver"));
	assert_null(text_of(list, 1, "iommu_group"));
	json_decref(list);
	pci_names_close(names);

	list = pci_list(tree_root, &nobody, NULL);
	assert_string_equal(text_of(list, 0, "name"), "NVMe controller 144d:a808");
	json_decref(list);
}

static void test_no_functions(void **state)
{
	json_t *list = pci_list("/nonexistent", &nobody, NULL);

	(void)state;
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static unsigned int count_files(void)
{
	unsigned int nr;

	tree_free_names(tree_names(tree_root, "/out", "", &nr));
	return nr;
}

static void assert_contents(const char *path, const char *expected)
{
	char *text = tree_file("", path);

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void write_new(const char *path, bool force, const char *text)
{
	struct output_file file;

	assert_int_equal(output_file_begin(&file, path, force, &err), 0);
	assert_int_equal(output_file_write(&file, text, strlen(text), &err), 0);
	assert_int_equal(output_file_commit(&file, &err), 0);
}

static void test_output_file(void **state)
{
	char path[PATH_MAX];
	struct output_file file;
	struct stat status;
	mode_t mask = umask(027);

	(void)state;
	snprintf(path, sizeof(path), "%s", tree_path("/out/file"));
	assert_int_equal(output_file_check(path, false, &err), 0);
	assert_int_equal(output_file_begin(&file, path, false, &err), 0);
	assert_int_equal(output_file_write(&file, "abc", 3, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(output_file_commit(&file, &err), 0);
	assert_contents(path, "abc");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	assert_int_equal(count_files(), 1);
	umask(mask);

	assert_int_equal(output_file_check(path, false, &err), -EEXIST);
	assert_int_equal(output_file_check(path, true, &err), 0);
	write_new(path, true, "xyz");
	assert_contents(path, "xyz");
	assert_int_equal(count_files(), 1);
}

/* A file that appears while ours is written is not replaced. */
static void test_output_file_appears(void **state)
{
	char path[PATH_MAX];
	struct output_file file;

	(void)state;
	snprintf(path, sizeof(path), "%s", tree_path("/out/file"));
	assert_int_equal(output_file_begin(&file, path, false, &err), 0);
	assert_int_equal(output_file_write(&file, "abc", 3, &err), 0);
	tree_put("/out/file", "theirs");
	assert_int_equal(output_file_commit(&file, &err), -EEXIST);
	assert_contents(path, "theirs");
	assert_int_equal(count_files(), 1);
}

static void test_output_file_discarded(void **state)
{
	char path[PATH_MAX];
	struct output_file file;

	(void)state;
	tree_put("/out/file", "old");
	snprintf(path, sizeof(path), "%s", tree_path("/out/file"));
	assert_int_equal(output_file_begin(&file, path, true, &err), 0);
	assert_int_equal(output_file_write(&file, "abc", 3, &err), 0);
	output_file_discard(&file);
	assert_contents(path, "old");
	assert_int_equal(count_files(), 1);
}

/* Devices and pipes are written to, never replaced. */
static void test_output_special(void **state)
{
	char path[PATH_MAX];
	struct stat status;
	char text[4] = "";
	int reader;

	(void)state;
	snprintf(path, sizeof(path), "%s", tree_path("/out/pipe"));
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(output_file_check(path, false, &err), -EEXIST);
	write_new(path, true, "abc");
	assert_int_equal(read(reader, text, 3), 3);
	assert_string_equal(text, "abc");
	close(reader);
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISFIFO(status.st_mode));
}

static void test_output_failures(void **state)
{
	struct output_file file;

	(void)state;
	assert_int_equal(output_file_begin(&file, "/nonexistent/file", false, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/file"));
	assert_int_equal(output_file_begin(&file, "/dev/full", true, &err), 0);
	assert_int_equal(output_file_write(&file, "abc", 3, &err), -ENOSPC);
	output_file_discard(&file);
	assert_int_equal(access("/dev/full", F_OK), 0);
}

static void test_bytes_for_people(void **state)
{
	char text[32];

	(void)state;
	assert_string_equal(output_bytes(0, text, sizeof(text)), "0 B");
	assert_string_equal(output_bytes(1023, text, sizeof(text)), "1023 B");
	assert_string_equal(output_bytes(1536, text, sizeof(text)), "1.5 KiB");
	assert_string_equal(output_bytes((1 << 20) - 1, text, sizeof(text)), "1.0 MiB");
	assert_string_equal(output_bytes(UINT64_MAX, text, sizeof(text)), "16.0 EiB");
}

#define TREE_TEST(test) cmocka_unit_test_setup_teardown(test, tree_make, tree_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TREE_TEST(test_pci_list),
		cmocka_unit_test(test_no_functions),
		TREE_TEST(test_output_file),
		TREE_TEST(test_output_file_appears),
		TREE_TEST(test_output_file_discarded),
		TREE_TEST(test_output_special),
		TREE_TEST(test_output_failures),
		cmocka_unit_test(test_bytes_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
