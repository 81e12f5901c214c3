/* SPDX-License-Identifier: BSD-3-Clause */
/* The vfio-user client against a server that lies, stalls and leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/device.h>

#include "base/base.h"
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

/* A server, and an IOAS with one mapping, a file of two pages, for devices to read. */
struct world {
	struct scripted server;
	struct weir_ioas *ioas;
	struct weir_mapping *mapping;
	uint64_t iova;
	int fd;
	struct weir_device *dev;
	struct weir_error err;
};

static struct world *make_world(void)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	scripted_init(&world->server);
	assert_int_equal(weir_ioas_create(NULL, &world->ioas, NULL), 0);
	world->fd = memfd_create("memory", MFD_CLOEXEC);
	assert_int_equal(ftruncate(world->fd, 8192), 0);
	assert_int_equal(weir_ioas_map_fd(world->ioas, world->fd, 0, 8192, WEIR_PROT_RW,
					  &world->mapping, NULL),
			 0);
	world->iova = weir_mapping_iova(world->mapping, NULL);
	return world;
}

static void end_world(struct world *world)
{
	weir_device_close(world->dev);
	assert_int_equal(weir_ioas_destroy(world->ioas), 0);
	scripted_destroy(&world->server);
	close(world->fd);
	free(world);
}

static int open_world(struct world *world)
{
	return scripted_open(&world->server, world->ioas, NULL, &world->dev, &world->err);
}

/* The device is gone: told once, with the reason, and nothing works any more. */
static void expect_gone(struct world *world, int error)
{
	struct weir_event events[2];
	uint32_t value;

	assert_int_equal(weir_device_gone(world->dev), 1);
	assert_int_equal(weir_device_events(world->dev, events, 0), 0);
	assert_int_equal(weir_device_events(world->dev, events, 2), 1);
	assert_int_equal(events[0].type, WEIR_EVENT_GONE);
	assert_int_equal(events[0].error, error);
	assert_int_equal(weir_device_events(world->dev, events, 2), -ENODEV);
	assert_int_equal(weir_device_read(world->dev, 2, 0, &value, 4, NULL), -ENODEV);
	assert_int_equal(weir_device_write32(world->dev, 0, 4096, 1), -ENODEV);
	assert_int_equal(weir_device_reset(world->dev, NULL), -ENODEV);
	assert_int_equal(weir_irq_unbind(world->dev, WEIR_IRQ_MSIX, NULL), -ENODEV);
}

/* What a lie about a reply with `bytes` of payload must come to. */
static int outcome(enum lie lie, size_t bytes)
{
	switch (lie) {
	case LIE_NONE:
	case LIE_DESCRIPTORS:
	case NR_LIES:
		return 0;
	case LIE_ERROR:
	case LIE_ERROR_ZERO:
	case LIE_ERROR_HUGE:
		return -EIO;
	case LIE_SHORT:
		return bytes ? -EPROTO : 0;
	case LIE_SILENT:
		return -ETIMEDOUT;
	case LIE_HALF:
	case LIE_CLOSE:
		return -ENODEV;
	default:
		return -EPROTO;
	}
}

static void test_lies_while_opening(void **state)
{
	static const struct {
		uint16_t command;
		unsigned int turn;
		size_t bytes;
	} steps[] = {
		{ VFIO_USER_VERSION, 1, 64 },
		{ VFIO_USER_DEVICE_GET_INFO, 1, 16 },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, 1, 64 },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, 9, 32 },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO, 3, 16 },
		{ VFIO_USER_REGION_READ, 1, 20 },
		{ VFIO_USER_REGION_READ, 6, 20 },
		{ VFIO_USER_DMA_MAP, 1, 0 },
		{ VFIO_USER_DEVICE_SET_IRQS, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		for (enum lie lie = LIE_NONE; lie < NR_LIES; lie++) {
			struct world *world = make_world();
			int expected = outcome(lie, steps[i].bytes);

			/* JSON ends at its NUL, whatever follows. */
			if (lie == LIE_LONG && steps[i].command == VFIO_USER_VERSION)
				expected = 0;
			/* A device that does not announce its removal is used all the same. */
			if (expected == -EIO && steps[i].command == VFIO_USER_DEVICE_SET_IRQS)
				expected = 0;
			world->server.lie = lie;
			world->server.lie_command = steps[i].command;
			world->server.lie_turn = steps[i].turn;
			if (open_world(world) != expected)
				fail_msg("command %u turn %u lie %d: not %d: %s", steps[i].command,
					 steps[i].turn, lie, expected, world->err.text);
			assert_true(lie == LIE_NONE || world->server.seen >= steps[i].turn);
			if (expected) {
				assert_int_equal(world->err.code, expected);
				assert_non_null(strstr(world->err.text, "/scripted"));
			}
			end_world(world);
			assert_int_equal(fd_count(), fds_before);
		}
	}
}

static int call_read(struct world *world)
{
	uint32_t value;

	return weir_device_read(world->dev, 2, 0, &value, 4, &world->err);
}

static int call_write(struct world *world)
{
	return weir_device_write(world->dev, 2, 0, "abcd", 4, &world->err);
}

static int call_reset(struct world *world)
{
	return weir_device_reset(world->dev, &world->err);
}

static int call_bind(struct world *world)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	int ret = weir_irq_bind(world->dev, WEIR_IRQ_MSIX, 0, 1, &fd, &world->err);

	close(fd);
	return ret;
}

static int call_unbind(struct world *world)
{
	return weir_irq_unbind(world->dev, WEIR_IRQ_MSIX, &world->err);
}

static int call_map(struct world *world)
{
	struct weir_mapping *mapping;

	return weir_ioas_map_fd(world->ioas, world->fd, 0, 4096, WEIR_PROT_READ, &mapping,
				&world->err);
}

/* The IOAS says 0: the memory is out of reach once the connection is down. */
static int call_unmap(struct world *world)
{
	struct weir_mapping *mapping = world->mapping;
	int ret = weir_ioas_unmap(world->ioas, mapping, &world->err);

	assert_int_equal(weir_ioas_list(world->ioas, NULL, 0), 0);
	return ret;
}

static void test_lies_afterwards(void **state)
{
	static const struct {
		int (*call)(struct world *world);
		uint16_t command;
		size_t bytes;
	} calls[] = {
		{ call_read, VFIO_USER_REGION_READ, 20 },
		{ call_write, VFIO_USER_REGION_WRITE, 16 },
		{ call_reset, VFIO_USER_DEVICE_RESET, 0 },
		{ call_bind, VFIO_USER_DEVICE_SET_IRQS, 0 },
		{ call_unbind, VFIO_USER_DEVICE_SET_IRQS, 0 },
		{ call_map, VFIO_USER_DMA_MAP, 0 },
		{ call_unmap, VFIO_USER_DMA_UNMAP, 24 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		for (enum lie lie = LIE_NONE; lie < NR_LIES; lie++) {
			bool unmap = calls[i].command == VFIO_USER_DMA_UNMAP;
			struct world *world = make_world();
			int expected = outcome(lie, calls[i].bytes), why = expected;

			assert_int_equal(open_world(world), 0);
			world->server.lie = lie;
			world->server.lie_command = calls[i].command;
			world->server.lie_turn = 1;
			/* A refusal to unmap is no small matter. */
			if (unmap && expected == -EIO)
				why = -EPROTO;
			if (calls[i].call(world) != (unmap ? 0 : expected))
				fail_msg("call %zu lie %d: not %d: %s", i, lie, expected,
					 world->err.text);
			if (why && why != -EIO)
				expect_gone(world, why);
			else
				assert_int_equal(call_read(world), 0);
			end_world(world);
			assert_int_equal(fd_count(), fds_before);
		}
	}
}

static void test_version(void **state)
{
	static const struct {
		const char *json;
		size_t bytes;
		int expected;
	} answers[] = {
		{ NULL, 0, 0 },
		{ "{}", 0, 0 },
		{ "{\"capabilities\":{}}", 0, 0 },
		{ "{\"capabilities\":{\"something\":[1]}}", 0, 0 },
		{ "{\"capabilities\":{\"max_msg_fds\":1000000,\"max_data_xfer_size\":8}}", 0, 0 },
		{ "{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}", 0, 0 },
		{ "{}", 2, -EPROTO }, /* no NUL */
		{ "", 0, -EPROTO },
		{ "{", 0, -EPROTO },
		{ "[]", 0, -EPROTO },
		{ "{\"capabilities\":1}", 0, -EPROTO },
		{ "{\"capabilities\":{\"max_msg_fds\":0}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"max_msg_fds\":-1}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"max_msg_fds\":\"8\"}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"max_msg_fds\":1.5}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"max_data_xfer_size\":7}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"max_dma_maps\":0}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"pgsizes\":0}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"max_dma_maps\":99999999999999999999}}", 0, -EPROTO },
		{ "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}", 0, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct world *world = make_world();

		world->server.json = answers[i].json;
		world->server.json_bytes = answers[i].bytes;
		if (open_world(world) != answers[i].expected)
			fail_msg("%s: not %d: %s", answers[i].json, answers[i].expected,
				 world->err.text);
		end_world(world);
	}
	for (uint16_t minor = 2; minor < 4; minor++) {
		struct world *world = make_world();

		world->server.major = minor == 3;
		world->server.minor = minor;
		assert_int_equal(open_world(world), -EPROTO);
		assert_non_null(strstr(world->err.text, "version"));
		end_world(world);
	}
}

/* Limits that the server gives are kept to. */
static void test_capabilities_are_kept_to(void **state)
{
	struct world *world = make_world();
	struct weir_mapping *mapping;
	uint8_t data[5000], back[5000];
	unsigned int before;

	(void)state;
	world->server.json = "{\"capabilities\":{\"max_data_xfer_size\":1000,\"max_dma_maps\":1,"
			     "\"pgsizes\":12288}}"; /* 4096 | 8192 */
	assert_int_equal(open_world(world), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	before = world->server.accesses;
	assert_int_equal(weir_device_write(world->dev, 2, 100, data, sizeof(data), NULL), 0);
	assert_int_equal(world->server.accesses - before, 5);
	assert_int_equal(weir_device_read(world->dev, 2, 100, back, sizeof(back), NULL), 0);
	assert_int_equal(world->server.accesses - before, 10);
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(weir_ioas_map_fd(world->ioas, world->fd, 0, 4096, WEIR_PROT_RW, &mapping,
					  &world->err),
			 -ENOSPC);
	assert_non_null(strstr(world->err.text, "2 mappings are over the 1"));
	end_world(world);

	world = make_world();
	world->server.json = "{\"capabilities\":{\"pgsizes\":65536}}";
	assert_int_equal(open_world(world), -EINVAL); /* the mapping that is there has 8 KiB */
	end_world(world);
}

static void test_device_info(void **state)
{
	static const struct {
		uint32_t flags, regions, irqs;
		int expected;
	} answers[] = {
		{ VFIO_USER_DEVICE_PCI, 9, 5, 0 },
		{ VFIO_USER_DEVICE_PCI, 64, 16, 0 },
		{ VFIO_USER_DEVICE_PCI, 9, 0, 0 },
		{ 0, 9, 5, -EPROTO },
		{ VFIO_USER_DEVICE_PCI, 8, 5, -EPROTO },
		{ VFIO_USER_DEVICE_PCI, 65, 5, -EPROTO },
		{ VFIO_USER_DEVICE_PCI, UINT32_MAX, 5, -EPROTO },
		{ VFIO_USER_DEVICE_PCI, 9, 17, -EPROTO },
		{ VFIO_USER_DEVICE_PCI, 9, UINT32_MAX, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct world *world = make_world();

		world->server.device.flags = answers[i].flags;
		world->server.device.nr_regions = answers[i].regions;
		world->server.device.nr_irqs = answers[i].irqs;
		assert_int_equal(open_world(world), answers[i].expected);
		if (!answers[i].expected)
			assert_int_equal(weir_device_reset(world->dev, NULL), -EOPNOTSUPP);
		end_world(world);
	}
}

static void test_irq_info(void **state)
{
	struct world *world = make_world();

	(void)state;
	world->server.irqs[2].count = 2048;
	world->server.irqs[0].flags = 0; /* no eventfds */
	assert_int_equal(open_world(world), 0);
	assert_int_equal(weir_irq_count(world->dev, WEIR_IRQ_MSIX), 2048);
	assert_int_equal(weir_irq_count(world->dev, WEIR_IRQ_INTX), 0);
	assert_int_equal(weir_irq_count(world->dev, (enum weir_irq)5), 0);
	end_world(world);
	world = make_world();
	world->server.irqs[2].count = 2049;
	assert_int_equal(open_world(world), -EPROTO);
	end_world(world);
	world = make_world();
	world->server.irqs[2].index = 1;
	assert_int_equal(open_world(world), -EPROTO);
	end_world(world);
}

/* Region 0 with other areas than it should have. */
static void expect_areas(const struct vfio_user_sparse_area *areas, unsigned int nr, int expected)
{
	struct world *world = make_world();

	scripted_set_areas(&world->server.regions[0], areas, nr);
	if (open_world(world) != expected)
		fail_msg("%u areas, first 0x%" PRIx64 " + 0x%" PRIx64 ": not %d: %s", nr,
			 areas[0].offset, areas[0].bytes, expected, world->err.text);
	end_world(world);
	assert_int_equal(fd_count(), fds_before);
}

static void test_areas(void **state)
{
	const uint64_t top = UINT64_MAX - 4095;
	struct vfio_user_sparse_area many[17];

	(void)state;
	expect_areas((struct vfio_user_sparse_area[]){ { 0, 4096 }, { 4096, 4096 } }, 2, 0);
	expect_areas((struct vfio_user_sparse_area[]){ { 4096, 4096 }, { 0, 4096 } }, 2, 0);
	expect_areas((struct vfio_user_sparse_area[]){ { 0, 8192 } }, 1, 0);
	expect_areas((struct vfio_user_sparse_area[]){ { 0, 0 } }, 1, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { 100, 4096 } }, 1, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { 0, 100 } }, 1, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { 4096, 8192 } }, 1, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { 8192, 4096 } }, 1, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { top, 4096 } }, 1, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { 4096, top } }, 1, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { 0, 8192 }, { 4096, 4096 } }, 2, -EPROTO);
	expect_areas((struct vfio_user_sparse_area[]){ { 0, 4096 }, { 0, 4096 } }, 2, -EPROTO);
	for (unsigned int i = 0; i < 17; i++)
		many[i] = (struct vfio_user_sparse_area){ i * 4096u, 4096 };
	expect_areas(many, 17, -EPROTO);
}

static void expect_region(void (*change)(struct scripted *server, struct scripted_region *region),
			  int expected, const char *text)
{
	struct world *world = make_world();

	change(&world->server, &world->server.regions[0]);
	if (open_world(world) != expected)
		fail_msg("not %d: %s", expected, world->err.text);
	if (text && !strstr(world->err.text, text))
		fail_msg("no \"%s\" in: %s", text, world->err.text);
	end_world(world);
	assert_int_equal(fd_count(), fds_before);
}

static void no_areas(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	scripted_set_areas(region, NULL, 0);
}

static void whole_region(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->caps_bytes = 0;
	region->info.argsz = sizeof(region->info);
	region->info.flags &= ~VFIO_USER_REGION_CAPS;
}

static void descriptor_without_mmap(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.flags &= ~VFIO_USER_REGION_MMAP;
}

static void other_index(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.index = 1;
}

static void more_than_sent(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.argsz = 1 << 20;
}

static void no_descriptor(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->fd = -1;
}

static void read_only(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.flags &= ~VFIO_USER_REGION_WRITEABLE;
}

static void file_too_small(struct scripted *server, struct scripted_region *region)
{
	(void)region;
	if (ftruncate(server->bar_fd, 4096))
		abort();
}

static void past_the_file(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.offset = 4096;
}

static void offset_overflows(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.offset = UINT64_MAX - 4095;
}

static void offset_unaligned(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.offset = 1;
}

static void cap_offset_wild(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.cap_offset = 1 << 30;
}

static void cap_offset_in_info(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.cap_offset = 8;
}

static void cap_cut_off(struct scripted *server, struct scripted_region *region)
{
	(void)server;
	region->info.cap_offset = region->info.argsz - 4;
}

static void cap_loop(struct scripted *server, struct scripted_region *region)
{
	struct vfio_user_cap_header cap = { .id = 99, .next = sizeof(region->info) };

	(void)server;
	memcpy(region->caps, &cap, sizeof(cap));
}

static void two_lists(struct scripted *server, struct scripted_region *region)
{
	struct vfio_user_cap_header cap = { .id = VFIO_USER_CAP_SPARSE_MMAP,
					    .next = sizeof(region->info) };

	(void)server;
	memcpy(region->caps, &cap, sizeof(cap));
}

static void list_cut_off(struct scripted *server, struct scripted_region *region)
{
	uint32_t nr = 16;

	(void)server;
	memcpy(region->caps + 8, &nr, sizeof(nr));
}

static void list_huge(struct scripted *server, struct scripted_region *region)
{
	uint32_t nr = UINT32_MAX;

	(void)server;
	memcpy(region->caps + 8, &nr, sizeof(nr));
}

static void caps_without_list(struct scripted *server, struct scripted_region *region)
{
	struct vfio_user_cap_header cap = { .id = 99 };

	(void)server;
	memcpy(region->caps, &cap, sizeof(cap));
}

static void test_regions(void **state)
{
	(void)state;
	expect_region(no_areas, 0, NULL);
	expect_region(whole_region, 0, NULL);
	expect_region(caps_without_list, 0, NULL);
	expect_region(descriptor_without_mmap, 0, NULL);
	expect_region(other_index, -EPROTO, "region 1 came instead of 0");
	expect_region(more_than_sent, -EPROTO, "1048576 bytes");
	expect_region(no_descriptor, -EPROTO, "no descriptor");
	expect_region(read_only, -EPROTO, "not written");
	expect_region(file_too_small, -EPROTO, "past the end of its file at 0x1000");
	expect_region(past_the_file, -EPROTO, "past the end of its file at 0x2000");
	expect_region(offset_overflows, -EPROTO, "past the end");
	expect_region(offset_unaligned, -EPROTO, "multiple of 4096");
	expect_region(cap_offset_wild, -EPROTO, "capability at 1073741824");
	expect_region(cap_offset_in_info, -EPROTO, "capability at 8");
	expect_region(cap_cut_off, -EPROTO, "capability at");
	expect_region(cap_loop, -EPROTO, "do not end");
	expect_region(two_lists, -EPROTO, "two lists");
	expect_region(list_cut_off, -EPROTO, "cut off");
	expect_region(list_huge, -EPROTO, "4294967295 mappable areas");
}

/* A descriptor that is no file, and one that may only be read. */
static void test_odd_descriptors(void **state)
{
	struct world *world = make_world();
	char path[64];
	int pipes[2], fd;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	world->server.regions[0].fd = pipes[0];
	assert_int_equal(open_world(world), -EPROTO);
	end_world(world);
	close(pipes[0]);
	close(pipes[1]);

	world = make_world();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", world->server.bar_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	world->server.regions[0].fd = fd;
	assert_int_equal(open_world(world), -EACCES);
	end_world(world);
	close(fd);
}

static void test_interrupt_batches(void **state)
{
	struct world *world = make_world();
	int fds[SCRIPTED_VECTORS];
	const uint16_t *control = (const uint16_t *)(world->server.config + 0x42);

	(void)state;
	assert_int_equal(open_world(world), 0);
	for (unsigned int i = 0; i < SCRIPTED_VECTORS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	world->server.set_irqs = 0;
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, 0, SCRIPTED_VECTORS, fds, NULL),
			 0);
	assert_int_equal(world->server.set_irqs, 5);
	assert_int_equal(world->server.most_fds, 8);
	for (unsigned int i = 0; i < SCRIPTED_VECTORS; i++)
		assert_true(world->server.irq_fds[2][i] >= 0);
	assert_int_equal(*control & 0xc000, 0x8000);
	assert_int_equal(weir_device_reset(world->dev, NULL), 0);
	assert_int_equal(*control & 0xc000, 0x8000);

	/* Vectors 10 and 11 are left out. */
	close(fds[10]);
	close(fds[11]);
	fds[10] = fds[11] = -1;
	world->server.set_irqs = 0;
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, 8, 6, fds + 8, NULL), 0);
	assert_int_equal(world->server.set_irqs, 3);
	assert_true(world->server.irq_fds[2][9] >= 0);
	assert_int_equal(world->server.irq_fds[2][10], -1);
	assert_int_equal(world->server.irq_fds[2][11], -1);
	assert_true(world->server.irq_fds[2][12] >= 0);

	assert_int_equal(weir_irq_unbind(world->dev, WEIR_IRQ_MSIX, NULL), 0);
	assert_int_equal(world->server.irq_fds[2][0], -1);
	assert_int_equal(*control & 0x8000, 0);

	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, 0, 0, fds, NULL), -EINVAL);
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, SCRIPTED_VECTORS, 1, fds, NULL),
			 -EINVAL);
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, UINT32_MAX, 2, fds, NULL),
			 -EINVAL);
	assert_int_equal(weir_irq_bind(world->dev, (enum weir_irq)9, 0, 1, fds, NULL), -EINVAL);
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_REQUEST, 0, 1, fds, NULL), -EINVAL);
	/* A mistake of the caller does not cost him the device. */
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, 0, 1, &(int){ -2 }, NULL),
			 -EBADF);
	assert_int_equal(weir_irq_bind(world->dev, WEIR_IRQ_MSIX, 0, 1, &(int){ 99999 }, NULL),
			 -EBADF);
	assert_int_equal(weir_device_gone(world->dev), 0);
	for (unsigned int i = 0; i < SCRIPTED_VECTORS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	end_world(world);
}

/* Has the server ask the client something in the middle of a read, and returns the answer's error.
 */
static uint32_t ask(struct world *world, uint16_t command, uint64_t iova, uint64_t count,
		    size_t payload_bytes)
{
	const struct vfio_user_dma_access access = { iova, count };
	struct scripted *server = &world->server;
	unsigned int answers = server->nr_answers;

	server->ask.header = (struct vfio_user_header){ .id = 777, .command = command };
	memcpy(server->ask.payload, &access, sizeof(access));
	memcpy(server->ask.payload + sizeof(access), "secret", 7);
	server->ask.bytes = payload_bytes;
	assert_int_equal(call_read(world), 0);
	scripted_pump(server); /* the answer was sent before the read's reply was looked at */
	assert_int_equal(server->nr_answers, answers + 1);
	assert_int_equal(server->answer.id, 777);
	assert_int_equal(server->answer.command, command);
	assert_true(!(server->answer.flags & VFIO_USER_ERROR) == !server->answer.error);
	if (server->answer.error)
		assert_int_equal(server->answer_bytes, 0);
	return server->answer.error;
}

static void test_dma_by_message(void **state)
{
	struct world *world = make_world();
	struct weir_mapping *read_only;
	uint64_t end;
	char *memory;

	(void)state;
	assert_int_equal(open_world(world), 0);
	end = world->iova + 8192;
	memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, world->fd, 0);
	assert_int_equal(ask(world, VFIO_USER_DMA_WRITE, world->iova + 100, 7, 16 + 7), 0);
	assert_string_equal(memory + 100, "secret");
	assert_int_equal(world->server.answer_bytes, 16);
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, world->iova + 100, 7, 16), 0);
	assert_int_equal(world->server.answer_bytes, 16 + 7);
	assert_string_equal((char *)world->server.answer_payload + 16, "secret");
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, world->iova, 0, 16), 0);

	assert_int_equal(ask(world, VFIO_USER_DMA_READ, end - 4, 5, 16), EFAULT);
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, world->iova - 1, 1, 16), EFAULT);
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, UINT64_MAX, 2, 16), EFAULT);
	assert_int_equal(ask(world, VFIO_USER_DMA_WRITE, end, 7, 16 + 7), EFAULT);
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, world->iova, (1 << 20) + 1, 16), EINVAL);
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, world->iova, UINT64_MAX, 16), EINVAL);
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, world->iova, 4, 17), EINVAL);
	assert_int_equal(ask(world, VFIO_USER_DMA_READ, world->iova, 4, 15), EINVAL);
	assert_int_equal(ask(world, VFIO_USER_DMA_WRITE, world->iova, 7, 16 + 6), EINVAL);
	assert_int_equal(ask(world, VFIO_USER_DMA_WRITE, world->iova, UINT64_MAX - 8, 16 + 7),
			 EINVAL);
	assert_int_equal(ask(world, VFIO_USER_REGION_READ, world->iova, 4, 16), ENOTSUP);
	assert_int_equal(ask(world, 999, 0, 0, 0), ENOTSUP);

	assert_int_equal(
		weir_ioas_map_fd(world->ioas, world->fd, 0, 4096, WEIR_PROT_READ, &read_only, NULL),
		0);
	assert_int_equal(
		ask(world, VFIO_USER_DMA_WRITE, weir_mapping_iova(read_only, NULL), 7, 16 + 7),
		EFAULT);
	assert_int_equal(
		ask(world, VFIO_USER_DMA_READ, weir_mapping_iova(read_only, (void *)100), 7, 16),
		0);
	munmap(memory, 8192);
	end_world(world);
}

/* Before it is attached to the IOAS a server has no business in memory. */
static void test_dma_too_early(void **state)
{
	struct world *world = make_world();
	const struct vfio_user_dma_access access = { world->iova, 4 };

	(void)state;
	world->server.ask.header.command = VFIO_USER_DMA_READ;
	memcpy(world->server.ask.payload, &access, sizeof(access));
	world->server.ask.bytes = sizeof(access);
	assert_int_equal(open_world(world), 0);
	assert_int_equal(world->server.nr_answers, 1);
	assert_int_equal(world->server.answer.error, EFAULT);
	end_world(world);
}

/* Between calls the owner's weir_device_events() serves, and notices messages out of order. */
static void test_served_by_events(void **state)
{
	struct world *world = make_world();
	const struct vfio_user_dma_access access = { world->iova, 4 };
	const struct iovec part = { (void *)(uintptr_t)&access, sizeof(access) };
	struct vfio_user_header header = { .id = 3, .command = VFIO_USER_DMA_READ };
	struct weir_event events[2];

	(void)state;
	assert_int_equal(open_world(world), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
			weir_wire_send(world->server.wire, &header, &part, 1, NULL, 0, 0, NULL), 0);
	/* Told not to answer: nobody does. */
	header.flags = VFIO_USER_NO_REPLY;
	assert_int_equal(weir_wire_send(world->server.wire, &header, &part, 1, NULL, 0, 0, NULL),
			 0);
	assert_int_equal(weir_device_events(world->dev, events, 2), 0);
	scripted_pump(&world->server);
	assert_in_range(world->server.nr_answers, 1, 99);
	assert_int_equal(weir_device_events(world->dev, events, 2), 0);
	scripted_pump(&world->server);
	assert_int_equal(world->server.nr_answers, 100);

	header.flags = VFIO_USER_TYPE_REPLY;
	assert_int_equal(weir_wire_send(world->server.wire, &header, &part, 1, NULL, 0, 0, NULL),
			 0);
	assert_int_equal(weir_device_events(world->dev, events, 2), 1);
	assert_int_equal(events[0].type, WEIR_EVENT_GONE);
	assert_int_equal(events[0].error, -EPROTO);
	end_world(world);
}

static void test_short_unmap(void **state)
{
	struct world *world = make_world();

	(void)state;
	assert_int_equal(open_world(world), 0);
	world->server.unmap_less = 4096;
	assert_int_equal(weir_ioas_unmap(world->ioas, world->mapping, &world->err), -EIO);
	assert_non_null(strstr(world->err.text, "0x1000 bytes"));
	expect_gone(world, -EPROTO);
	end_world(world);
}

static bool readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* Over a socket: a stall takes as long as was said, wakes the owner, and is told once. */
static void test_stall(void **state)
{
	struct world *world = make_world();
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	uint64_t start;

	(void)state;
	options.timeout_ms = 150;
	assert_int_equal(scripted_open_socket(&world->server, world->ioas, &options, &world->dev,
					      &world->err),
			 0);
	assert_false(readable(weir_device_event_fd(world->dev)));
	world->server.lie_command = VFIO_USER_REGION_READ;
	world->server.lie_turn = 1;
	world->server.lie = LIE_SILENT;
	start = weir_now_ns();
	assert_int_equal(call_read(world), -ETIMEDOUT);
	assert_in_range(weir_now_ns() - start, 150000000, 2000000000);
	assert_non_null(strstr(world->err.text, "REGION_READ"));
	assert_true(readable(weir_device_event_fd(world->dev)));
	expect_gone(world, -ETIMEDOUT);
	assert_false(readable(weir_device_event_fd(world->dev)));
	end_world(world);
}

/* A server that does not react is left after a while, also when a device is just closed. */
static void test_close_of_a_stuck_server(void **state)
{
	struct world *world = make_world();
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	uint64_t start;

	(void)state;
	options.timeout_ms = 150;
	assert_int_equal(scripted_open_socket(&world->server, world->ioas, &options, &world->dev,
					      &world->err),
			 0);
	atomic_store(&world->server.stop, true);
	pthread_join(world->server.thread, NULL);
	world->server.thread = 0;
	start = weir_now_ns();
	weir_device_close(world->dev);
	assert_in_range(weir_now_ns() - start, 150000000, 2000000000);
	world->dev = NULL;
	end_world(world);
}

static void *read_once(void *arg)
{
	struct world *world = arg;
	uint32_t value;

	return (void *)(intptr_t)weir_device_read(world->dev, 2, 0, &value, 4, NULL);
}

/* The limit is for one answer, not for those that others wait for. */
static void test_slow_answers_add_up(void **state)
{
	struct world *world = make_world();
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	pthread_t threads[4];
	void *ret;

	(void)state;
	options.timeout_ms = 600;
	assert_int_equal(scripted_open_socket(&world->server, world->ioas, &options, &world->dev,
					      &world->err),
			 0);
	world->server.delay_ms = 200;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_once, world), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &ret);
		assert_null(ret);
	}
	world->server.delay_ms = 0;
	end_world(world);
}

static void test_server_leaves(void **state)
{
	struct world *world = make_world();

	(void)state;
	assert_int_equal(
		scripted_open_socket(&world->server, world->ioas, NULL, &world->dev, &world->err),
		0);
	world->server.lie_command = VFIO_USER_DEVICE_RESET;
	world->server.lie_turn = 1;
	world->server.lie = LIE_HALF;
	assert_int_equal(weir_device_reset(world->dev, &world->err), -ENODEV);
	assert_non_null(strstr(world->err.text, "middle"));
	assert_true(readable(weir_device_event_fd(world->dev)));
	/* The IOAS does without it. */
	assert_int_equal(weir_ioas_unmap(world->ioas, world->mapping, NULL), 0);
	expect_gone(world, -ENODEV);
	end_world(world);
}

/* The server dies while its client sleeps, in an epoll of its own, and calls nothing. */
static void test_server_dies(void **state)
{
	struct world *world = make_world();
	struct epoll_event event = { .events = EPOLLIN };
	int sleeper = epoll_create1(EPOLL_CLOEXEC);

	(void)state;
	assert_int_equal(
		scripted_open_socket(&world->server, world->ioas, NULL, &world->dev, &world->err),
		0);
	assert_int_equal(
		epoll_ctl(sleeper, EPOLL_CTL_ADD, weir_device_event_fd(world->dev), &event), 0);
	atomic_store(&world->server.stop, true);
	pthread_join(world->server.thread, NULL);
	world->server.thread = 0;
	assert_int_equal(epoll_wait(sleeper, &event, 1, 0), 0);
	scripted_hang_up(&world->server);
	assert_int_equal(epoll_wait(sleeper, &event, 1, 10000), 1);
	assert_int_equal(weir_device_gone(world->dev), 0);
	assert_int_equal(weir_device_events(world->dev, NULL, 0), 0);
	expect_gone(world, -ENODEV);
	assert_int_equal(epoll_wait(sleeper, &event, 1, 0), 0);
	close(sleeper);
	end_world(world);
}

static void socket_path(char path[64], struct sockaddr_un *address)
{
	snprintf(path, 64, "/tmp/weir-test-%d.sock", getpid());
	unlink(path);
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(address->sun_path, path);
}

static int open_path(const char *path, unsigned int timeout_ms, struct weir_error *err)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_device *dev;
	struct weir_ioas *ioas;
	char address[300];
	int ret;

	options.timeout_ms = timeout_ms;
	assert_int_equal(weir_ioas_create(NULL, &ioas, NULL), 0);
	snprintf(address, sizeof(address), "vfio-user:%s", path);
	ret = weir_device_open(address, ioas, &options, &dev, err);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	return ret;
}

/* A server that has a client and leaves others in its queue, as most do: who is the client? */
static void test_held_by_another(void **state)
{
	struct sockaddr_un address;
	char path[64], pid[32];
	struct weir_error err;
	int listener, first;
	pid_t child;

	(void)state;
	socket_path(path, &address);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 0), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		int s = socket(AF_UNIX, SOCK_STREAM, 0);

		close(listener);
		if (connect(s, (struct sockaddr *)&address, sizeof(address)))
			_exit(1);
		pause();
		_exit(0);
	}
	first = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(first >= 0);
	assert_int_equal(open_path(path, 100, &err), -EBUSY);
	snprintf(pid, sizeof(pid), "process %d ", child);
	if (!strstr(err.text, pid) && !strstr(err.text, "another process"))
		fail_msg("%s", err.text);

	/* Nor is there anybody once it is gone: then the server is just slow. */
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(first);
	assert_int_equal(open_path(path, 100, &err), -ETIMEDOUT);
	close(listener);
	unlink(path);
}

static void test_addresses(void **state)
{
	struct sockaddr_un address;
	struct weir_error err;
	char path[64], longer[200];
	int listener;

	(void)state;
	socket_path(path, &address);
	assert_int_equal(open_path(path, 100, &err), -ENOENT);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(open_path(path, 100, &err), -ECONNREFUSED);
	close(listener);
	unlink(path);
	assert_int_equal(open_path("", 100, &err), -EINVAL);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(open_path(longer, 100, &err), -EINVAL);
	assert_non_null(strstr(err.text, "107"));
	assert_int_equal(open_path("/dev/null/x", 100, &err), -ENOENT);
	assert_int_equal(open_path(path, 600001, &err), -EINVAL);
}

struct worker {
	struct world *world;
	_Atomic bool *stop;
	int ret;
};

static void *ring(void *arg)
{
	struct worker *worker = arg;

	for (uint32_t i = 0; i < 1000 && !worker->ret; i++)
		worker->ret = weir_device_write32(worker->world->dev, 2, 64, i);
	return NULL;
}

static void *map_memory(void *arg)
{
	struct worker *worker = arg;
	struct weir_mapping *mapping;

	for (int i = 0; i < 300 && !worker->ret; i++) {
		worker->ret = weir_ioas_map_fd(worker->world->ioas, worker->world->fd, 0, 4096,
					       WEIR_PROT_RW, &mapping, NULL);
		if (!worker->ret)
			worker->ret = weir_ioas_unmap(worker->world->ioas, mapping, NULL);
	}
	return NULL;
}

static void *take_events(void *arg)
{
	struct worker *worker = arg;
	struct weir_event event;

	while (!atomic_load(worker->stop) && !worker->ret)
		worker->ret = weir_device_events(worker->world->dev, &event, 1);
	return NULL;
}

static void test_threads(void **state)
{
	void *(*const bodies[])(void *) = { take_events, ring, ring, map_memory };
	struct worker workers[ARRAY_SIZE(bodies)];
	pthread_t threads[ARRAY_SIZE(bodies)];
	struct world *world = make_world();
	_Atomic bool stop = false;

	(void)state;
	assert_int_equal(
		scripted_open_socket(&world->server, world->ioas, NULL, &world->dev, &world->err),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		workers[i] = (struct worker){ world, &stop, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], &workers[i]), 0);
	}
	for (size_t i = ARRAY_SIZE(bodies); i-- > 0;) {
		if (!i)
			atomic_store(&stop, true);
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].ret, 0);
	}
	assert_int_equal(world->server.nr_maps, 1);
	end_world(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_fds, same_fds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lies_while_opening),
		TEST(test_lies_afterwards),
		TEST(test_version),
		TEST(test_capabilities_are_kept_to),
		TEST(test_device_info),
		TEST(test_irq_info),
		TEST(test_areas),
		TEST(test_regions),
		TEST(test_odd_descriptors),
		TEST(test_interrupt_batches),
		TEST(test_dma_by_message),
		TEST(test_dma_too_early),
		TEST(test_served_by_events),
		TEST(test_short_unmap),
		TEST(test_stall),
		TEST(test_close_of_a_stuck_server),
		TEST(test_slow_answers_add_up),
		TEST(test_server_leaves),
		TEST(test_server_dies),
		TEST(test_held_by_another),
		TEST(test_addresses),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
