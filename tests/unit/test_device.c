/* SPDX-License-Identifier: BSD-3-Clause */
/* A device as its user sees it: addresses, configuration space, BARs, interrupts, events,
 * hand-over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/device.h>
#include <weir/fault_guard.h>
#include <weir/p2p.h>
#include <weir/state.h>

#include "base/base.h"
#include "base/state.h"
#include "fd_count.h"
#include "scripted_server.h"

static unsigned int fds_before;

static int count_fds(void **state)
{
	(void)state;
	fds_before = fd_count();
	return 0;
}

static int same_fds(void **state)
{
	(void)state;
	return fd_count() == fds_before ? 0 : -1;
}

struct world {
	struct scripted server;
	struct weir_ioas *ioas;
	struct weir_device *dev;
	struct weir_error err;
};

static struct world *make_world(void)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	scripted_init(&world->server);
	assert_int_equal(weir_ioas_create(NULL, &world->ioas, NULL), 0);
	return world;
}

static struct world *make_open_world(void)
{
	struct world *world = make_world();

	assert_int_equal(scripted_open(&world->server, world->ioas, NULL, &world->dev, &world->err),
			 0);
	return world;
}

static void end_world(struct world *world)
{
	weir_device_close(world->dev);
	assert_int_equal(weir_ioas_destroy(world->ioas), 0);
	scripted_destroy(&world->server);
	free(world);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *address, *transport;
		int expected;
	} opens[] = {
		{ "fffe:3b:00.0", NULL, -ENOENT },
		{ "fffe:3B:1f.7", NULL, -ENOENT },
		{ "1fffe:3b:00.0", NULL, -ENOENT },
		{ "fffe:3b:00.0", "group", -ENOENT },
		{ "vfio-user:/x", "cdev", -EINVAL },
		{ "0000:3b:00.0", "vfio-user", -EINVAL },
		{ "vfio-user:/x", "pigeon", -EINVAL },
		{ "0000:3b:00.8", NULL, -EINVAL },
		{ "0000:3b:20.0", NULL, -EINVAL },
		{ "0000:3b:00.0 ", NULL, -EINVAL },
		{ "3b:00.0", NULL, -EINVAL },
		{ "", NULL, -EINVAL },
		{ "vfio-user:/nobody/here", "vfio-user", -ENOENT },
	};
	struct weir_ioas *ioas;

	(void)state;
	assert_int_equal(weir_ioas_create(NULL, &ioas, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
		struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
		struct weir_device *dev;
		struct weir_error err;

		options.transport = opens[i].transport;
		if (weir_device_open(opens[i].address, ioas, &options, &dev, &err) !=
		    opens[i].expected)
			fail_msg("%s: not %d: %s", opens[i].address, opens[i].expected, err.text);
	}
	assert_int_equal(weir_ioas_destroy(ioas), 0);
}

static void test_options(void **state)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_device *dev;
	struct weir_error err;

	(void)state;
	options.timeout_ms = 600001;
	assert_int_equal(weir_device_open("vfio-user:/x", NULL, &options, &dev, &err), -EINVAL);
	assert_non_null(strstr(err.text, "600001"));
	options.timeout_ms = 1;
	options.reserved = 1;
	assert_int_equal(weir_device_open("vfio-user:/x", NULL, &options, &dev, &err), -EINVAL);
	weir_device_close(NULL);
	weir_device_abandon(NULL);
}

static void test_info(void **state)
{
	struct world *world = make_open_world();
	struct weir_device_info info;

	(void)state;
	weir_device_info(world->dev, &info);
	assert_string_equal(info.address, "vfio-user:/scripted");
	assert_string_equal(info.transport, "vfio-user");
	assert_int_equal(info.vendor_id, 0x1af4);
	assert_int_equal(info.device_id, 0x1234);
	assert_int_equal(info.subsystem_vendor_id, 0xabcd);
	assert_int_equal(info.subsystem_id, 0xef01);
	assert_int_equal(info.class_code, 0x010802);
	assert_int_equal(info.revision, 5);
	assert_int_equal(info.reset, 1);
	assert_int_equal(info.node, WEIR_NODE_ANY);
	assert_int_equal(info.nr_regions, 9);
	assert_int_equal(info.nr_irqs, 5);
	assert_ptr_equal(weir_device_ioas(world->dev), world->ioas);
	assert_int_equal(weir_irq_count(world->dev, WEIR_IRQ_MSIX), SCRIPTED_VECTORS);
	assert_int_equal(weir_device_region_bytes(world->dev, 0), SCRIPTED_BAR_BYTES);
	assert_int_equal(weir_device_region_bytes(world->dev, 1), 0);
	assert_int_equal(weir_device_region_bytes(world->dev, 9), 0);
	assert_int_equal(weir_device_region_bytes(world->dev, UINT32_MAX), 0);
	end_world(world);
}

static void test_bars(void **state)
{
	struct world *world = make_open_world();
	struct weir_device *dev = world->dev;
	unsigned int before;
	uint32_t value32;
	uint64_t value64;

	(void)state;
	/* Only the second page is mapped. */
	assert_non_null(weir_device_bar(dev, 0, 4096, 4096));
	assert_non_null(weir_device_bar(dev, 0, 8191, 1));
	assert_null(weir_device_bar(dev, 0, 4095, 2));
	assert_null(weir_device_bar(dev, 0, 0, 4));
	assert_null(weir_device_bar(dev, 0, 4096, 4097));
	assert_null(weir_device_bar(dev, 0, 8192, 1));
	assert_null(weir_device_bar(dev, 0, UINT64_MAX, 1));
	assert_null(weir_device_bar(dev, 0, 4096, UINT64_MAX));
	assert_null(weir_device_bar(dev, 2, 0, 4));
	assert_null(weir_device_bar(dev, 7, 0, 4));

	before = world->server.accesses;
	assert_int_equal(weir_device_write32(dev, 0, 4096, 0x11223344), 0);
	assert_int_equal(weir_device_write64(dev, 0, 4104, 0x1122334455667788), 0);
	assert_int_equal(weir_device_read32(dev, 0, 4096, &value32), 0);
	assert_int_equal(weir_device_read64(dev, 0, 4104, &value64), 0);
	assert_int_equal(value32, 0x11223344);
	assert_int_equal(value64, 0x1122334455667788);
	assert_memory_equal(world->server.bar + 4096, &value32, 4);
	assert_int_equal(world->server.accesses, before);

	assert_int_equal(weir_device_write32(dev, 0, 16, 5), 0);
	assert_int_equal(weir_device_write64(dev, 0, 24, 6), 0);
	assert_int_equal(weir_device_read32(dev, 0, 16, &value32), 0);
	assert_int_equal(weir_device_read64(dev, 0, 24, &value64), 0);
	assert_int_equal(value32, 5);
	assert_int_equal(value64, 6);
	assert_int_equal(world->server.accesses, before + 4);
	/* The mapped part is reached by message as well. */
	assert_int_equal(weir_device_read(dev, 0, 4096, &value32, 4, NULL), 0);
	assert_int_equal(value32, 0x11223344);

	assert_int_equal(weir_device_read32(dev, 0, 4098, &value32), -EINVAL);
	assert_int_equal(weir_device_read64(dev, 0, 4100, &value64), -EINVAL);
	assert_int_equal(weir_device_read32(dev, 0, 8192, &value32), -EINVAL);
	assert_int_equal(weir_device_read32(dev, 6, 0, &value32), -EINVAL);
	assert_int_equal(weir_device_write32(dev, 1, 0, 0), -EINVAL);
	assert_int_equal(weir_device_read(dev, 2, 8190, &value32, 4, &world->err), -EINVAL);
	assert_non_null(strstr(world->err.text, "0x1ffe"));
	assert_non_null(strstr(world->err.text, "0x2000"));
	assert_int_equal(weir_device_read(dev, 99, 0, &value32, 4, NULL), -EINVAL);
	assert_int_equal(weir_device_read(dev, 2, UINT64_MAX, &value32, 4, NULL), -EINVAL);
	assert_int_equal(weir_device_read(dev, 2, 8192, &value32, 0, NULL), 0);
	end_world(world);
}

static void test_configuration_space(void **state)
{
	struct world *world = make_open_world();
	uint8_t *config = world->server.config;

	(void)state;
	config[5] = 0x05; /* bits that are not ours stay */
	assert_int_equal(weir_device_bus_master(world->dev, 1, NULL), 0);
	assert_int_equal(config[4], 0x06);
	assert_int_equal(config[5], 0x05);
	assert_int_equal(weir_device_bus_master(world->dev, 0, NULL), 0);
	assert_int_equal(config[4], 0x02);

	assert_int_equal(weir_device_find_capability(world->dev, 0x11), 0x40);
	assert_int_equal(weir_device_find_capability(world->dev, 0x05), -ENOENT);
	config[0x41] = 0x61; /* the two low bits are reserved */
	config[0x60] = 0x05;
	assert_int_equal(weir_device_find_capability(world->dev, 0x05), 0x60);
	config[0x61] = 0x40; /* a loop */
	assert_int_equal(weir_device_find_capability(world->dev, 0x10), -ENOENT);
	config[0x61] = 0x20; /* into the header */
	assert_int_equal(weir_device_find_capability(world->dev, 0x10), -ENOENT);
	config[0x34] = 0;
	assert_int_equal(weir_device_find_capability(world->dev, 0x11), -ENOENT);
	config[0x34] = 0x40;
	config[6] = 0;
	assert_int_equal(weir_device_find_capability(world->dev, 0x11), -ENOENT);
	end_world(world);

	world = make_world();
	world->server.regions[7].info.bytes = 255;
	assert_int_equal(scripted_open(&world->server, world->ioas, NULL, &world->dev, &world->err),
			 -EPROTO);
	assert_non_null(strstr(world->err.text, "255"));
	end_world(world);
}

static void test_masks(void **state)
{
	struct world *world = make_open_world();
	uint32_t *control = (uint32_t *)(world->server.table + 0x1000 + 3 * 16 + 12);

	(void)state;
	*control = 0xabcd0000;
	assert_int_equal(weir_irq_disarm(world->dev, 3), 0);
	assert_int_equal(*control, 0xabcd0001);
	assert_int_equal(weir_irq_disarm(world->dev, 3), 0);
	assert_int_equal(weir_irq_arm(world->dev, 3), 0);
	assert_int_equal(*control, 0xabcd0000);
	assert_int_equal(weir_irq_arm(world->dev, SCRIPTED_VECTORS), -EINVAL);
	assert_int_equal(weir_irq_arm(world->dev, UINT32_MAX), -EINVAL);
	end_world(world);
}

/* A table where there is no BAR, or no room: the device works, its vectors cannot be armed. */
static void test_wild_table(void **state)
{
	static const struct {
		uint32_t table;
		uint16_t control;
		uint32_t vectors;
		int expected;
	} tables[] = {
		{ 0x1000 | 2, SCRIPTED_VECTORS - 1, SCRIPTED_VECTORS, 0 },
		{ 0x1000 | 1, SCRIPTED_VECTORS - 1, SCRIPTED_VECTORS, -EOPNOTSUPP },
		{ 0x1000 | 6, SCRIPTED_VECTORS - 1, SCRIPTED_VECTORS, -EOPNOTSUPP },
		{ 0x1000 | 7, SCRIPTED_VECTORS - 1, SCRIPTED_VECTORS, -EOPNOTSUPP },
		{ 0x1ff8 | 2, SCRIPTED_VECTORS - 1, SCRIPTED_VECTORS, -EOPNOTSUPP },
		{ 0xfffffff8 | 2, SCRIPTED_VECTORS - 1, SCRIPTED_VECTORS, -EOPNOTSUPP },
		{ 0x1000 | 2, 0x7ff, 2048, -EOPNOTSUPP },
		{ 0x1000 | 2, 0x7ff, 256, 0 },
		{ 0x1000 | 2, 0x7ff, 0, -EOPNOTSUPP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		struct world *world = make_world();

		memcpy(world->server.config + 0x42, &tables[i].control, 2);
		memcpy(world->server.config + 0x44, &tables[i].table, 4);
		world->server.irqs[WEIR_IRQ_MSIX].count = tables[i].vectors;
		assert_int_equal(
			scripted_open(&world->server, world->ioas, NULL, &world->dev, &world->err),
			0);
		assert_int_equal(weir_irq_arm(world->dev, 0), tables[i].expected);
		end_world(world);
	}
}

static bool readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void test_notifications(void **state)
{
	struct world *world = make_open_world();
	const uint64_t one = 1;
	struct weir_event events[4];

	(void)state;
	assert_true(world->server.irq_fds[WEIR_IRQ_ERROR][0] >= 0);
	assert_true(world->server.irq_fds[WEIR_IRQ_REQUEST][0] >= 0);
	assert_false(readable(weir_device_event_fd(world->dev)));
	assert_int_equal(weir_device_events(world->dev, events, 4), 0);
	assert_int_equal(write(world->server.irq_fds[WEIR_IRQ_REQUEST][0], &one, 8), 8);
	assert_int_equal(write(world->server.irq_fds[WEIR_IRQ_ERROR][0], &one, 8), 8);
	assert_true(readable(weir_device_event_fd(world->dev)));
	assert_int_equal(weir_device_events(world->dev, events, 1), 1);
	assert_int_equal(events[0].type, WEIR_EVENT_ERROR);
	assert_true(readable(weir_device_event_fd(world->dev)));
	assert_int_equal(weir_device_events(world->dev, events, 1), 1);
	assert_int_equal(events[0].type, WEIR_EVENT_REMOVE_REQUEST);
	assert_int_equal(weir_device_events(world->dev, events, 1), 0);
	assert_false(readable(weir_device_event_fd(world->dev)));
	assert_int_equal(weir_device_gone(world->dev), 0);
	end_world(world);
}

/* The file behind a mapping is cut off; the server asks for it; the owner is told. */
static void mapping_dies(void)
{
	struct world *world = make_open_world();
	struct weir_mapping *mapping;
	struct weir_event events[2];
	struct vfio_user_dma_access access = { .count = 4 };
	int fd = memfd_create("memory", MFD_CLOEXEC);
	uint32_t value;

	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(
		weir_ioas_map_dmabuf(world->ioas, fd, 0, 4096, WEIR_PROT_RW, &mapping, NULL), 0);
	assert_int_equal(world->server.nr_maps, 1);
	assert_int_equal(ftruncate(fd, 0), 0);
	access.address = weir_mapping_iova(mapping, NULL);
	world->server.ask.header.command = VFIO_USER_DMA_READ;
	memcpy(world->server.ask.payload, &access, sizeof(access));
	world->server.ask.bytes = sizeof(access);
	assert_int_equal(weir_device_read(world->dev, 2, 0, &value, 4, NULL), 0);
	scripted_pump(&world->server);
	assert_int_equal(world->server.answer.error, EFAULT);
	assert_int_equal(weir_mapping_state(mapping), WEIR_MAPPING_DEAD);
	assert_true(readable(weir_device_event_fd(world->dev)));
	assert_int_equal(weir_device_events(world->dev, events, 2), 1);
	assert_int_equal(events[0].type, WEIR_EVENT_MAPPING_DEAD);
	assert_int_equal(events[0].iova, access.address);
	assert_int_equal(weir_device_events(world->dev, events, 2), 0);
	assert_false(readable(weir_device_event_fd(world->dev)));
	assert_int_equal(weir_ioas_unmap(world->ioas, mapping, NULL), 0);
	close(fd);
	end_world(world);
}

/* The file behind a BAR is cut off: registers read all ones, and the device is gone. */
static void bar_dies(void)
{
	struct world *world = make_open_world();
	struct weir_event events[2];
	uint32_t value = 0;

	assert_int_equal(ftruncate(world->server.bar_fd, 0), 0);
	assert_int_equal(weir_device_read32(world->dev, 0, 4096, &value), -ENODEV);
	assert_int_equal(value, UINT32_MAX);
	assert_int_equal(weir_device_gone(world->dev), 1);
	assert_int_equal(weir_device_events(world->dev, events, 2), 1);
	assert_int_equal(events[0].type, WEIR_EVENT_GONE);
	assert_int_equal(events[0].error, -ENODEV);
	end_world(world);
}

/* The same, found by a load: nothing is called before the owner, who sleeps, is woken. */
static void bar_dies_unasked(void)
{
	struct world *world = make_open_world();
	int fd = weir_device_event_fd(world->dev);
	volatile uint32_t *bar = weir_device_bar(world->dev, 0, 4096, 4096);
	struct weir_event event;

	assert_int_equal(ftruncate(world->server.bar_fd, 0), 0);
	assert_false(readable(fd));
	assert_int_equal(bar[3], UINT32_MAX);
	assert_true(readable(fd));
	/* No room for more events than the one. */
	assert_int_equal(weir_device_events(world->dev, &event, 1), 1);
	assert_int_equal(event.type, WEIR_EVENT_GONE);
	assert_int_equal(bar[4], UINT32_MAX);
	assert_false(readable(fd));
	assert_int_equal(weir_device_events(world->dev, &event, 1), -ENODEV);
	assert_false(readable(fd));
	end_world(world);
}

/* In one test: the test runner has its own handlers in place outside of it. */
static void test_files_cut_off(void **state)
{
	(void)state;
	assert_int_equal(weir_fault_guard_enable(NULL), 0);
	mapping_dies();
	bar_dies();
	bar_dies_unasked();
}

static void test_export(void **state)
{
	struct world *world = make_open_world();
	struct weir_dmabuf dmabuf;
	struct weir_range ranges[2] = { { 4096, 4096 }, { 4096, 4096 } };
	char *memory;

	(void)state;
	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 1, &dmabuf, &world->err), 0);
	assert_int_equal(dmabuf.offset, 4096);
	assert_int_equal(dmabuf.bytes, 4096);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf.fd,
		      (off_t)dmabuf.offset);
	assert_ptr_not_equal(memory, MAP_FAILED);
	strcpy(memory, "peer");
	assert_string_equal((char *)world->server.bar + 4096, "peer");
	munmap(memory, 4096);
	close(dmabuf.fd);

	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 2, &dmabuf, &world->err),
			 -EOPNOTSUPP);
	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 0, &dmabuf, &world->err),
			 -EINVAL);
	assert_int_equal(weir_dmabuf_export(world->dev, 1, ranges, 1, &dmabuf, &world->err),
			 -ENODEV);
	assert_int_equal(weir_dmabuf_export(world->dev, 7, ranges, 1, &dmabuf, &world->err),
			 -ENODEV);
	ranges[0].offset = 0; /* trapped */
	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 1, &dmabuf, &world->err),
			 -EOPNOTSUPP);
	ranges[0].offset = 8192;
	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 1, &dmabuf, &world->err),
			 -EINVAL);
	ranges[0].offset = 4095;
	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 1, &dmabuf, &world->err),
			 -EINVAL);
	ranges[0] = (struct weir_range){ 4096, 0 };
	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 1, &dmabuf, &world->err),
			 -EINVAL);
	ranges[0] = (struct weir_range){ 4096, UINT64_MAX - 4095 };
	assert_int_equal(weir_dmabuf_export(world->dev, 0, ranges, 1, &dmabuf, &world->err),
			 -EINVAL);
	end_world(world);
}

/* A device goes on under a new handle; its server hears nothing of it. */
static void test_save_and_adopt(void **state)
{
	struct world *world = make_world();
	struct weir_device_info info;
	struct weir_device *again;
	struct weir_state *bag;
	const uint64_t one = 1;
	struct weir_event event;
	unsigned int accesses, set_irqs;
	uint32_t value;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(
		scripted_open_socket(&world->server, world->ioas, NULL, &world->dev, &world->err),
		0);
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, 1, 1, &fd, NULL), 0);
	assert_int_equal(weir_device_write32(world->dev, 0, 4096, 77), 0);
	assert_int_equal(weir_device_write32(world->dev, 0, 16, 78), 0);
	accesses = world->server.accesses;
	set_irqs = world->server.set_irqs;

	assert_int_equal(weir_state_create(&bag, NULL), 0);
	assert_int_equal(weir_device_save(world->dev, bag, &world->err), 0);
	weir_device_abandon(world->dev);
	world->dev = NULL;
	assert_int_equal(weir_device_adopt(bag, world->ioas, NULL, &again, &world->err), 0);
	weir_state_destroy(bag);
	assert_int_equal(world->server.accesses, accesses);
	assert_int_equal(world->server.set_irqs, set_irqs);

	weir_device_info(again, &info);
	assert_int_equal(info.device_id, 0x1234);
	assert_int_equal(info.reset, 1);
	assert_int_equal(weir_irq_count(again, WEIR_IRQ_MSIX), SCRIPTED_VECTORS);
	assert_int_equal(weir_device_read32(again, 0, 4096, &value), 0);
	assert_int_equal(value, 77);
	assert_int_equal(weir_device_read32(again, 0, 16, &value), 0);
	assert_int_equal(value, 78);
	assert_int_equal(weir_irq_disarm(again, 1), 0);
	assert_int_equal(write(world->server.irq_fds[WEIR_IRQ_REQUEST][0], &one, 8), 8);
	assert_int_equal(weir_device_events(again, &event, 1), 1);
	assert_int_equal(event.type, WEIR_EVENT_REMOVE_REQUEST);
	/* The good-bye of the predecessor would have closed the connection. */
	assert_int_equal(weir_device_reset(again, NULL), 0);
	world->dev = again;
	end_world(world);
	close(fd);
}

/* Every byte of the record is spoiled in turn: adoption fails or gives a device that can be closed,
 * and loses no descriptor. */
static void test_damaged_records(void **state)
{
	struct world *world = make_world();
	const struct state_record *record;
	struct weir_device *again;
	struct weir_state *bag, *bad;
	const int *fds;
	unsigned int nr_fds, refused = 0;
	const void *raw;
	uint8_t *copy;
	size_t bytes;

	(void)state;
	assert_int_equal(
		scripted_open_socket(&world->server, world->ioas, NULL, &world->dev, &world->err),
		0);
	assert_int_equal(weir_state_create(&bag, NULL), 0);
	assert_int_equal(weir_device_save(world->dev, bag, &world->err), 0);
	raw = weir_state_raw(bag, &bytes, &fds, &nr_fds);
	record = raw;
	copy = malloc(bytes);
	for (size_t i = 0; i < record->bytes; i++) {
		memcpy(copy, raw, bytes);
		copy[sizeof(*record) + i] ^= 0xff;
		assert_int_equal(weir_state_create(&bad, NULL), 0);
		assert_int_equal(weir_state_put(bad, record->type, record->version,
						copy + sizeof(*record), record->bytes, fds,
						record->nr_fds, NULL),
				 0);
		if (weir_device_adopt(bad, world->ioas, NULL, &again, NULL))
			refused++;
		else
			weir_device_abandon(again);
		weir_state_destroy(bad);
	}
	assert_true(refused > 100);
	/* Too short, and with the wrong number of descriptors. */
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(weir_state_create(&bad, NULL), 0);
		assert_int_equal(weir_state_put(bad, record->type, record->version, record + 1,
						record->bytes - (i == 0), fds,
						record->nr_fds - (i == 1), NULL),
				 0);
		assert_int_equal(weir_device_adopt(bad, world->ioas, NULL, &again, NULL),
				 i == 2 ? 0 : -EINVAL);
		if (i == 2)
			weir_device_abandon(again);
		weir_state_destroy(bad);
	}
	free(copy);
	weir_state_destroy(bag);
	end_world(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_fds, same_fds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses),
		TEST(test_options),
		TEST(test_info),
		TEST(test_bars),
		TEST(test_configuration_space),
		TEST(test_masks),
		TEST(test_wild_table),
		TEST(test_notifications),
		/* The fault guard keeps a descriptor. */
		cmocka_unit_test(test_files_cut_off),
		TEST(test_export),
		TEST(test_save_and_adopt),
		TEST(test_damaged_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
