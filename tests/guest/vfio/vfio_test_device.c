/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices: what they are, who has them, their interrupts and resets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vfio_test.h"

#define SYSFS "/sys/bus/pci/devices"
#define REGISTER_VS 0x08 /* NVMe 2.0 §3.1.3.2 */

static int open_refused(const char *address, const char *transport, struct weir_error *err)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_device *dev;
	struct space space;
	int ret;

	memset(err, 0, sizeof(*err));
	options.transport = transport;
	space_open(&space);
	ret = weir_device_open(address, space.ioas, &options, &dev, err);
	space_close(&space);
	if (!ret)
		fail_msg("%s was opened", address);
	return ret;
}

static long sysfs_number(const char *address, const char *name)
{
	char path[128], text[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), SYSFS "/%s/%s", address, name);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	return strtol(text, NULL, 0);
}

static void test_info(void **state)
{
	const char *address = the_vfio_test.nvme[0];
	struct weir_device_info info;
	struct weir_device *dev;
	struct space space;
	uint32_t vs, direct;

	(void)state;
	space_open(&space);
	dev = device_open(address, space.ioas);
	weir_device_info(dev, &info);
	assert_string_equal(info.transport, the_vfio_test.transport);
	assert_int_equal(info.vendor_id, sysfs_number(address, "vendor"));
	assert_int_equal(info.device_id, sysfs_number(address, "device"));
	assert_int_equal(info.class_code, sysfs_number(address, "class"));
	assert_int_equal(info.revision, sysfs_number(address, "revision"));
	assert_int_equal(info.node, sysfs_number(address, "numa_node"));
	assert_int_equal(info.reset, 1);
	assert_true(weir_irq_count(dev, WEIR_IRQ_MSIX) > 1);
	assert_int_equal(weir_irq_count(dev, WEIR_IRQ_REQUEST), 1);

	/* The same register through the mapping and through the kernel. */
	assert_int_equal(weir_device_read32(dev, 0, REGISTER_VS, &vs), 0);
	assert_int_equal(weir_device_read(dev, 0, REGISTER_VS, &direct, sizeof(direct), NULL), 0);
	assert_int_equal(vs, direct);
	assert_true(vs >= 0x10000);
	assert_int_equal(weir_device_read(dev, WEIR_REGION_CONFIG,
					  weir_device_region_bytes(dev, WEIR_REGION_CONFIG), &vs, 1,
					  NULL),
			 -EINVAL);
	weir_device_close(dev);
	space_close(&space);
}

static void test_obstacles(void **state)
{
	const char *other = !strcmp(the_vfio_test.transport, "cdev") ? "group" : "cdev";
	struct weir_error err;

	(void)state;
	assert_int_equal(open_refused("0000:3f:1f.7", the_vfio_test.transport, &err), -ENOENT);
	assert_non_null(strstr(err.text, "0000:3f:1f.7"));
	assert_int_equal(open_refused(the_vfio_test.unbound, the_vfio_test.transport, &err),
			 -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "weir bind"));
	assert_int_equal(open_refused(the_vfio_test.nvme[0], "vfio-user", &err), -EINVAL);
	assert_int_equal(open_refused(the_vfio_test.nvme[0], "vfoi", &err), -EINVAL);

	/* The environment decides where the caller does not. */
	setenv("WEIR_TRANSPORT", "vfoi", 1);
	assert_int_equal(open_refused(the_vfio_test.nvme[0], NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "WEIR_TRANSPORT"));
	setenv("WEIR_TRANSPORT", other, 1);
	assert_int_equal(open_refused("0000:3f:1f.7", NULL, &err), -ENOENT);
	unsetenv("WEIR_TRANSPORT");
}

static void test_forbidden(void **state)
{
	struct weir_error err;

	(void)state;
	if (!geteuid())
		skip();
	assert_int_equal(open_refused(the_vfio_test.forbidden, the_vfio_test.transport, &err),
			 -EACCES);
	assert_non_null(strstr(err.text, "/dev/vfio/"));
	assert_non_null(strstr(err.text, "sudo chown"));
}

/* Another IOAS, this one, and another process. */
static void test_busy(void **state)
{
	const char *address = the_vfio_test.nvme[0];
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_device *dev, *second;
	struct weir_error err;
	struct space space;
	char pid[32];
	int status;
	pid_t child;

	(void)state;
	options.transport = the_vfio_test.transport;
	space_open(&space);
	dev = device_open(address, space.ioas);
	assert_int_equal(open_refused(address, the_vfio_test.transport, &err), -EBUSY);
	assert_non_null(strstr(err.text, "this process"));
	assert_int_equal(weir_device_open(address, space.ioas, &options, &second, &err), -EBUSY);
	assert_non_null(strstr(err.text, "this process"));

	snprintf(pid, sizeof(pid), "process %d", getpid());
	child = fork();
	if (!child) {
		/* What it inherited is not what it is asked about. */
		close_range(3, ~0u, 0);
		setenv("WEIR_TRANSPORT", the_vfio_test.transport, 1);
		if (weir_ioas_create(NULL, &space.ioas, NULL) ||
		    weir_device_open(address, space.ioas, NULL, &second, &err) != -EBUSY)
			_exit(1);
		_exit(strstr(err.text, pid) ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	weir_device_close(dev);
	space_close(&space);
}

/* Nothing of a device is left when it is closed, in any order and many times. */
static void test_open_often(void **state)
{
	struct weir_device *first, *second;
	struct space space;

	(void)state;
	space_open(&space);
	for (int i = 0; i < 5; i++) {
		first = device_open(the_vfio_test.nvme[0], space.ioas);
		second = device_open(the_vfio_test.nvme[1], space.ioas);
		weir_device_close(i % 2 ? first : second);
		weir_device_close(i % 2 ? second : first);
	}
	space_close(&space);
}

static void test_interrupts(void **state)
{
	struct weir_device *dev;
	struct weir_error err;
	struct space space;
	int fds[8];

	(void)state;
	space_open(&space);
	dev = device_open(the_vfio_test.nvme[0], space.ioas);
	for (int i = 0; i < 8; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	/* A few, then more of them than there were at first, then one less. */
	if (weir_irq_bind(dev, WEIR_IRQ_MSIX, 0, 2, fds, &err) ||
	    weir_irq_bind(dev, WEIR_IRQ_MSIX, 1, 7, fds + 1, &err) ||
	    weir_irq_bind(dev, WEIR_IRQ_MSIX, 3, 1, (int[]){ -1 }, &err))
		fail_msg("%s", err.text);
	assert_int_equal(weir_irq_disarm(dev, 0), 0);
	assert_int_equal(weir_irq_arm(dev, 0), 0);
	assert_int_equal(weir_irq_arm(dev, weir_irq_count(dev, WEIR_IRQ_MSIX)), -EINVAL);
	assert_int_equal(
		weir_irq_bind(dev, WEIR_IRQ_MSIX, weir_irq_count(dev, WEIR_IRQ_MSIX), 1, fds, &err),
		-EINVAL);
	assert_int_equal(weir_irq_bind(dev, WEIR_IRQ_REQUEST, 0, 1, fds, &err), -EINVAL);
	/* One kind at a time. */
	if (weir_irq_count(dev, WEIR_IRQ_INTX)) {
		assert_int_equal(weir_irq_bind(dev, WEIR_IRQ_INTX, 0, 1, fds, &err), -EIO);
		assert_int_equal(weir_irq_unbind(dev, WEIR_IRQ_MSIX, &err), 0);
		if (weir_irq_bind(dev, WEIR_IRQ_INTX, 0, 1, fds, &err))
			fail_msg("%s", err.text);
		assert_int_equal(weir_irq_disarm(dev, 0), 0);
		assert_int_equal(weir_irq_arm(dev, 0), 0);
		assert_int_equal(weir_irq_arm(dev, 1), -EINVAL);
		assert_int_equal(weir_irq_unbind(dev, WEIR_IRQ_INTX, &err), 0);
	}
	assert_int_equal(weir_irq_unbind(dev, WEIR_IRQ_MSIX, &err), 0);
	assert_int_equal(weir_irq_unbind(dev, WEIR_IRQ_MSIX, &err), 0);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	weir_device_close(dev);
	space_close(&space);
}

/* Both sides of a controller's reset by one thread. */
static void reset_controller(struct drive *drive)
{
	struct weir_nvme_done done;
	struct weir_error err;

	if (weir_nvme_reset_begin(drive->t.nvme, &err))
		fail_msg("%s", err.text);
	assert_int_equal(weir_nvme_poll(drive->qp, &done, 1), 0);
	if (weir_nvme_reset_finish(drive->t.nvme, &err))
		fail_msg("%s", err.text);
}

static void reset_and_use(const char *address)
{
	struct weir_device *dev;
	struct weir_error err;
	struct drive drive;
	struct space space;

	space_open(&space);
	dev = device_open(address, space.ioas);
	if (weir_device_reset(dev, &err))
		fail_msg("%s", err.text);
	assert_int_equal(weir_device_gone(dev), 0);
	weir_device_close(dev);
	drive_open(&drive, address, &space);
	drive_check(&drive, 30);
	/* Under a controller that runs. */
	if (weir_device_reset(drive.dev, &err))
		fail_msg("%s", err.text);
	reset_controller(&drive);
	drive_check(&drive, 31);
	drive_close(&drive);
	space_close(&space);
}

static void test_reset(void **state)
{
	(void)state;
	reset_and_use(the_vfio_test.nvme[0]);
}

static void set_reset_methods(const char *address, const char *methods)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), SYSFS "/%s/reset_method", address);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "%s\n", methods);
	assert_int_equal(fclose(file), 0);
}

/* Takes the function's own resets from the kernel: what remains is the bus. */
static void test_hot_reset(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	set_reset_methods(the_vfio_test.nvme[1], "");
	reset_and_use(the_vfio_test.nvme[1]);
	set_reset_methods(the_vfio_test.nvme[1], "default");
}

static void test_save(void **state)
{
	struct weir_device *dev;
	struct weir_error err;
	struct weir_state *saved;
	struct space space;

	(void)state;
	space_open(&space);
	dev = device_open(the_vfio_test.nvme[0], space.ioas);
	assert_int_equal(weir_state_create(&saved, NULL), 0);
	assert_int_equal(weir_device_save(dev, saved, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, the_vfio_test.nvme[0]));
	weir_state_destroy(saved);
	weir_device_abandon(dev);
	dev = device_open(the_vfio_test.nvme[0], space.ioas);
	weir_device_close(dev);
	space_close(&space);
}

const struct CMUnitTest vfio_test_device[] = {
	cmocka_unit_test(test_info),	   cmocka_unit_test(test_obstacles),
	cmocka_unit_test(test_forbidden),  cmocka_unit_test(test_busy),
	cmocka_unit_test(test_open_often), cmocka_unit_test(test_interrupts),
	cmocka_unit_test(test_reset),	   cmocka_unit_test(test_hot_reset),
	cmocka_unit_test(test_save),	   { 0 },
};
