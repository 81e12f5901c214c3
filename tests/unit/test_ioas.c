/* SPDX-License-Identifier: BSD-3-Clause */
/* An IOAS against backends that refuse, lie or die on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/fault_guard.h>
#include <weir/state.h>

#include "base/base.h"
#include "base/state.h"
#include "fd_count.h"
#include "ioas/backend.h"

#define MIB (UINT64_C(1) << 20)
#define FAKE_MAX 64

struct fake {
	struct ioas_limits limits;
	struct ioas_memory mapped[FAKE_MAX];
	unsigned int nr_mapped;
	unsigned int map_calls, unmap_calls;
	unsigned int fail_map_call; /* this call of map() fails; 0: none */
	int map_error;
	bool die_with_map;
	bool fail_unmap; /* and dies of it */
	uint64_t short_unmap; /* claims so many bytes less */
	uint64_t unmapped[FAKE_MAX]; /* IOVAs in the order of unmap() */
	_Atomic bool dead;
	_Atomic unsigned int died_mappings;
	struct weir_ioas *access; /* map() reads through this IOAS, as a server may */
};

static void fake_limits(const void *backend, struct ioas_limits *limits)
{
	const struct fake *fake = backend;

	*limits = fake->limits;
}

static int fake_map(void *backend, const struct ioas_memory *memory, struct weir_error *err)
{
	struct fake *fake = backend;
	char byte;

	assert_false(atomic_load(&fake->dead));
	if (fake->access)
		assert_int_equal(ioas_access(fake->access, memory->iova, &byte, 1, false), 0);
	if (++fake->map_calls == fake->fail_map_call) {
		if (fake->die_with_map)
			atomic_store(&fake->dead, true);
		return weir_error_set(err, fake->map_error, "told to fail");
	}
	assert_in_range(fake->nr_mapped, 0, FAKE_MAX - 1);
	fake->mapped[fake->nr_mapped++] = *memory;
	return 0;
}

static int fake_unmap(void *backend, uint64_t iova, uint64_t bytes, uint64_t *unmapped,
		      struct weir_error *err)
{
	struct fake *fake = backend;

	assert_false(atomic_load(&fake->dead));
	if (fake->unmap_calls < FAKE_MAX)
		fake->unmapped[fake->unmap_calls] = iova;
	fake->unmap_calls++;
	if (fake->fail_unmap) {
		atomic_store(&fake->dead, true);
		return weir_error_set(err, -ETIMEDOUT, "told to die");
	}
	for (unsigned int i = 0; i < fake->nr_mapped; i++) {
		if (fake->mapped[i].iova != iova || fake->mapped[i].bytes != bytes)
			continue;
		fake->mapped[i] = fake->mapped[--fake->nr_mapped];
		*unmapped = bytes - fake->short_unmap;
		return 0;
	}
	fail_msg("unmap of what is not mapped");
	return -EINVAL;
}

static bool fake_dead(const void *backend)
{
	return atomic_load(&((const struct fake *)backend)->dead);
}

static void fake_mapping_died(void *backend)
{
	atomic_fetch_add(&((struct fake *)backend)->died_mappings, 1);
}

static const struct ioas_backend_ops fake_ops = {
	.name = "fake",
	.limits = fake_limits,
	.map = fake_map,
	.unmap = fake_unmap,
	.dead = fake_dead,
	.mapping_died = fake_mapping_died,
};

static struct fake make_fake(void)
{
	return (struct fake){
		.limits = { .ranges = { { 0, UINT64_MAX } },
			    .nr_ranges = 1,
			    .page_bytes = 4096,
			    .max_mappings = UINT64_MAX },
		.map_error = -EIO,
	};
}

static struct weir_ioas *make_ioas(unsigned int bits)
{
	struct weir_ioas_options options = WEIR_IOAS_OPTIONS_INIT;
	struct weir_ioas *ioas;

	options.iova_bits = bits;
	assert_int_equal(weir_ioas_create(&options, &ioas, NULL), 0);
	return ioas;
}

static struct ioas_attachment *attach(struct weir_ioas *ioas, struct fake *fake)
{
	struct ioas_attachment *attachment;

	assert_int_equal(ioas_attach(ioas, &fake_ops, fake, false, &attachment, NULL), 0);
	return attachment;
}

static int make_file(uint64_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static struct weir_arena *make_arena(void)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_arena *arena;

	options.bytes = MIB;
	assert_int_equal(weir_arena_create(&options, &arena, NULL), 0);
	return arena;
}

static struct weir_mapping *map_file(struct weir_ioas *ioas, int fd, uint64_t bytes)
{
	struct weir_mapping *mapping;

	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, bytes, WEIR_PROT_RW, &mapping, NULL), 0);
	return mapping;
}

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

static void test_options(void **state)
{
	struct weir_ioas_options options = WEIR_IOAS_OPTIONS_INIT;
	struct weir_ioas *ioas;
	struct weir_error err;

	(void)state;
	options.iova_bits = 31;
	assert_int_equal(weir_ioas_create(&options, &ioas, &err), -EINVAL);
	assert_non_null(strstr(err.text, "31"));
	options.iova_bits = 65;
	assert_int_equal(weir_ioas_create(&options, &ioas, &err), -EINVAL);
	options.iova_bits = 64;
	options.reserved = 1;
	assert_int_equal(weir_ioas_create(&options, &ioas, &err), -EINVAL);
	assert_int_equal(weir_ioas_create(NULL, &ioas, &err), 0);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	assert_int_equal(weir_ioas_destroy(NULL), 0);
	assert_int_equal(weir_ioas_unmap(ioas, NULL, NULL), 0);
}

static void test_replay_and_addresses(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct weir_arena *arena = make_arena();
	struct fake early = make_fake(), late = make_fake();
	struct ioas_attachment *attachments[2];
	struct weir_mapping *of_arena, *of_file, *of_user;
	struct weir_mapping_info info[3];
	uint8_t *user = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
	uint8_t *base = weir_arena_base(arena);
	int fd = make_file(3 * MIB);

	(void)state;
	attachments[0] = attach(ioas, &early);
	assert_int_equal(weir_ioas_map_arena(ioas, arena, &of_arena, NULL), 0);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, MIB, MIB, WEIR_PROT_READ, &of_file, NULL), 0);
	assert_int_equal(weir_ioas_map_user(ioas, user, 8192, WEIR_PROT_WRITE, &of_user, NULL), 0);
	attachments[1] = attach(ioas, &late);

	assert_int_equal(early.nr_mapped, 3);
	assert_int_equal(late.nr_mapped, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(early.mapped[i].iova, late.mapped[i].iova);
		assert_int_equal(early.mapped[i].bytes, late.mapped[i].bytes);
		assert_int_equal(early.mapped[i].prot, late.mapped[i].prot);
	}
	assert_int_equal(late.mapped[0].iova, weir_arena_iova(arena));
	assert_int_equal(late.mapped[0].fd, weir_arena_fd(arena));
	assert_ptr_equal(late.mapped[0].addr, base);
	assert_int_equal(late.mapped[1].offset, MIB);
	assert_int_not_equal(late.mapped[1].fd, fd);
	assert_int_equal(late.mapped[1].prot, WEIR_PROT_READ);
	assert_int_equal(late.mapped[2].fd, -1);

	assert_int_equal(weir_mapping_iova(of_arena, base + 12345),
			 weir_arena_ptr_iova(arena, base + 12345));
	assert_int_equal(weir_mapping_iova(of_file, (void *)100), late.mapped[1].iova + 100);
	assert_int_equal(weir_mapping_iova(of_user, user + 5), late.mapped[2].iova + 5);
	assert_true(late.mapped[1].iova >= WEIR_IOVA_WINDOW_BASE);
	assert_true(late.mapped[2].iova + 8192 <= WEIR_IOVA_WINDOW_END);
	assert_int_equal(weir_mapping_bytes(of_user), 8192);
	assert_ptr_equal(weir_ioas_find_arena(ioas, arena), of_arena);

	assert_int_equal(weir_ioas_list(ioas, info, 2), 3);
	assert_int_equal(weir_ioas_list(ioas, info, 3), 3);
	assert_string_equal(info[0].kind, "arena");
	assert_string_equal(info[1].kind, "fd");
	assert_string_equal(info[2].kind, "user");
	assert_int_equal(info[1].prot, WEIR_PROT_READ);
	assert_true(info[0].iova < info[1].iova && info[1].iova < info[2].iova);

	assert_int_equal(weir_ioas_destroy(ioas), -EBUSY);
	assert_int_equal(weir_ioas_unmap(ioas, of_file, NULL), 0);
	assert_int_equal(early.nr_mapped, 2);
	assert_int_equal(late.nr_mapped, 2);
	ioas_detach(attachments[0]);
	assert_int_equal(weir_ioas_unmap(ioas, of_arena, NULL), 0);
	assert_null(weir_ioas_find_arena(ioas, arena));
	assert_int_equal(early.nr_mapped, 2);
	assert_int_equal(late.nr_mapped, 1);
	ioas_detach(attachments[1]);
	ioas_detach(NULL);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	weir_arena_destroy(arena);
	munmap(user, 8192);
	close(fd);
}

static void test_conflict_names_both(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct weir_arena *arena = make_arena();
	struct weir_mapping *mapping, *again;
	struct weir_error err;
	char iova[32];

	(void)state;
	assert_int_equal(weir_ioas_map_arena(ioas, arena, &mapping, NULL), 0);
	assert_int_equal(weir_ioas_map_arena(ioas, arena, &again, &err), -EEXIST);
	snprintf(iova, sizeof(iova), "0x%llx", (unsigned long long)weir_arena_iova(arena));
	assert_non_null(strstr(err.text, iova));
	assert_non_null(strstr(strstr(err.text, iova) + 1, iova));
	assert_int_equal(weir_ioas_list(ioas, NULL, 0), 1);
	assert_int_equal(weir_ioas_destroy(ioas), 0);

	ioas = make_ioas(32); /* arenas live above 4 GiB */
	assert_int_equal(weir_ioas_map_arena(ioas, arena, &mapping, &err), -ERANGE);
	assert_non_null(strstr(err.text, iova));
	assert_non_null(strstr(err.text, "0xffffffff"));
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	weir_arena_destroy(arena);
}

static void test_map_is_all_or_nothing(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake fakes[3] = { make_fake(), make_fake(), make_fake() };
	struct ioas_attachment *attachments[3];
	struct weir_mapping *mapping;
	struct weir_error err;
	int fd = make_file(MIB);

	(void)state;
	for (int i = 0; i < 3; i++)
		attachments[i] = attach(ioas, &fakes[i]);
	fakes[1].fail_map_call = 1;
	fakes[1].map_error = -ENOSPC;
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, MIB, WEIR_PROT_RW, &mapping, &err), -ENOSPC);
	assert_int_equal(err.code, -ENOSPC);
	assert_int_equal(fakes[0].map_calls, 1);
	assert_int_equal(fakes[0].nr_mapped, 0);
	assert_int_equal(fakes[2].map_calls, 0);
	assert_int_equal(weir_ioas_list(ioas, NULL, 0), 0);

	mapping = map_file(ioas, fd, MIB);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fakes[i].nr_mapped, 1);
	assert_int_equal(weir_ioas_unmap(ioas, mapping, NULL), 0);
	for (int i = 0; i < 3; i++)
		ioas_detach(attachments[i]);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

static void test_attach_is_all_or_nothing(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake fake = make_fake();
	struct ioas_attachment *attachment;
	struct weir_mapping *mappings[4];
	int fd = make_file(MIB);

	(void)state;
	for (int i = 0; i < 4; i++)
		mappings[i] = map_file(ioas, fd, MIB);
	fake.fail_map_call = 4;
	assert_int_equal(ioas_attach(ioas, &fake_ops, &fake, false, &attachment, NULL), -EIO);
	assert_int_equal(fake.nr_mapped, 0);
	assert_int_equal(fake.unmap_calls, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fake.unmapped[i], weir_mapping_iova(mappings[2 - i], NULL));

	/* One that dies is not called again. */
	fake = make_fake();
	fake.fail_map_call = 3;
	fake.die_with_map = true;
	assert_int_equal(ioas_attach(ioas, &fake_ops, &fake, false, &attachment, NULL), -EIO);
	assert_int_equal(fake.unmap_calls, 0);

	/* An adopted one is told nothing, and unmaps as the others. */
	fake = make_fake();
	assert_int_equal(ioas_attach(ioas, &fake_ops, &fake, true, &attachment, NULL), 0);
	assert_int_equal(fake.map_calls, 0);
	ioas_detach(attachment);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

static void expect_map_error(struct weir_ioas *ioas, struct fake *fake, int error, const char *text)
{
	struct ioas_attachment *attachment = attach(ioas, fake);
	struct weir_mapping *mapping;
	struct weir_error err;
	int fd = make_file(MIB);

	assert_int_equal(weir_ioas_map_fd(ioas, fd, 4096, 8192, WEIR_PROT_RW, &mapping, &err),
			 error);
	assert_non_null(strstr(err.text, text));
	assert_int_equal(fake->map_calls, 0);
	ioas_detach(attachment);
	close(fd);
}

static void test_limits(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct ioas_attachment *attachment;
	struct weir_arena *arena = make_arena();
	struct weir_mapping *mapping, *user;
	struct weir_error err;
	struct fake fake = make_fake();
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	fake.limits.page_bytes = 65536;
	expect_map_error(ioas, &fake, -EINVAL, "0x10000");
	fake = make_fake();
	fake.limits.max_mappings = 0;
	expect_map_error(ioas, &fake, -ENOSPC, "1 mappings are over the 0");
	fake = make_fake();
	fake.limits.ranges[0] = (struct ioas_range){ 0, UINT32_MAX };
	expect_map_error(ioas, &fake, -ENOSPC, "no free range");

	assert_int_equal(weir_ioas_map_arena(ioas, arena, &mapping, NULL), 0);
	assert_int_equal(ioas_attach(ioas, &fake_ops, &fake, false, &attachment, &err), -ERANGE);
	assert_non_null(strstr(err.text, "0xffffffff"));
	assert_int_equal(fake.map_calls, 0);

	fake = make_fake();
	fake.limits.needs_fd = true;
	attachment = attach(ioas, &fake);
	assert_int_equal(weir_ioas_map_user(ioas, page, 4096, WEIR_PROT_RW, &user, &err),
			 -EOPNOTSUPP);
	ioas_detach(attachment);
	assert_int_equal(weir_ioas_map_user(ioas, page, 4096, WEIR_PROT_RW, &user, &err), 0);
	assert_int_equal(ioas_attach(ioas, &fake_ops, &fake, false, &attachment, &err),
			 -EOPNOTSUPP);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	weir_arena_destroy(arena);
	munmap(page, 4096);
}

/* Addresses are taken where every device can reach them. */
static void test_addresses_in_ranges(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake one = make_fake(), two = make_fake();
	const uint64_t base = WEIR_IOVA_WINDOW_BASE;
	struct ioas_attachment *attachments[2];
	struct weir_mapping *mapping;
	int fd = make_file(16 * MIB);

	(void)state;
	one.limits.nr_ranges = 2;
	one.limits.ranges[0] = (struct ioas_range){ 0, base + 4095 };
	one.limits.ranges[1] = (struct ioas_range){ base + 0x100000, UINT64_MAX };
	two.limits.nr_ranges = 2;
	two.limits.ranges[0] = (struct ioas_range){ 0, base + 0x101fff };
	two.limits.ranges[1] = (struct ioas_range){ base + 0x555000, base + 0x600000 };
	attachments[0] = attach(ioas, &one);
	attachments[1] = attach(ioas, &two);
	mapping = map_file(ioas, fd, 4096);
	assert_int_equal(weir_mapping_iova(mapping, NULL), base);
	mapping = map_file(ioas, fd, 8192);
	assert_int_equal(weir_mapping_iova(mapping, NULL), base + 0x100000);
	mapping = map_file(ioas, fd, 8192);
	assert_int_equal(weir_mapping_iova(mapping, NULL), base + 0x555000);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 2 * MIB, WEIR_PROT_RW, &mapping, NULL),
			 -ENOSPC);
	ioas_detach(attachments[0]);
	ioas_detach(attachments[1]);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

static void test_addresses_run_out(void **state)
{
	const uint64_t half = UINT64_C(1) << 37;
	struct weir_mapping *one, *two, *three;
	struct weir_ioas *ioas = make_ioas(0);
	struct weir_error err;
	int fd = make_file(half);

	(void)state;
	one = map_file(ioas, fd, half);
	two = map_file(ioas, fd, half);
	assert_int_equal(weir_mapping_iova(two, NULL), weir_mapping_iova(one, NULL) + half);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 4096, WEIR_PROT_RW, &three, &err), -ENOSPC);
	assert_int_equal(weir_ioas_unmap(ioas, one, NULL), 0);
	/* What was given back is found again, in the search's second round. */
	three = map_file(ioas, fd, 4096);
	assert_int_equal(weir_mapping_iova(three, NULL), WEIR_IOVA_WINDOW_BASE);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, half, WEIR_PROT_RW, &one, &err), -ENOSPC);
	assert_int_equal(weir_ioas_destroy(ioas), 0);

	ioas = make_ioas(38);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 4096, WEIR_PROT_RW, &one, &err), -ENOSPC);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

static void test_dead_devices(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake fakes[3] = { make_fake(), make_fake(), make_fake() };
	struct ioas_attachment *attachments[3];
	struct weir_mapping *mapping, *second;
	int fd = make_file(MIB);

	(void)state;
	for (int i = 0; i < 3; i++)
		attachments[i] = attach(ioas, &fakes[i]);
	/* Dead already: left out. */
	atomic_store(&fakes[0].dead, true);
	mapping = map_file(ioas, fd, MIB);
	assert_int_equal(fakes[0].map_calls, 0);
	/* Dies of the map: that fails, and the next goes on without it. */
	fakes[2].fail_map_call = 2;
	fakes[2].die_with_map = true;
	fakes[2].map_error = -ETIMEDOUT;
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, MIB, WEIR_PROT_RW, &second, NULL),
			 -ETIMEDOUT);
	assert_int_equal(fakes[1].nr_mapped, 1);
	second = map_file(ioas, fd, MIB);
	assert_int_equal(fakes[2].map_calls, 2);
	assert_int_equal(fakes[1].nr_mapped, 2);
	/* Dies of the unmap: the mapping is gone all the same. */
	fakes[1].fail_unmap = true;
	assert_int_equal(weir_ioas_unmap(ioas, mapping, NULL), 0);
	assert_int_equal(weir_ioas_unmap(ioas, second, NULL), 0);
	assert_int_equal(fakes[1].unmap_calls, 2);
	assert_int_equal(weir_ioas_list(ioas, NULL, 0), 0);
	for (int i = 0; i < 3; i++)
		ioas_detach(attachments[i]);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

static void test_short_unmap(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake one = make_fake(), two = make_fake();
	struct ioas_attachment *attachments[2] = { attach(ioas, &one), attach(ioas, &two) };
	struct weir_error err;
	int fd = make_file(MIB);
	struct weir_mapping *mapping = map_file(ioas, fd, MIB);

	(void)state;
	one.short_unmap = 4096;
	assert_int_equal(weir_ioas_unmap(ioas, mapping, &err), -EIO);
	assert_non_null(strstr(err.text, "0xff000"));
	assert_int_equal(two.nr_mapped, 0);
	assert_int_equal(weir_ioas_list(ioas, NULL, 0), 0);
	ioas_detach(attachments[0]);
	ioas_detach(attachments[1]);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

static void test_bad_files(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct weir_mapping *mapping;
	struct weir_error err;
	char path[64];
	int fd = make_file(MIB), other, pipes[2];

	(void)state;
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 0, WEIR_PROT_RW, &mapping, &err), -EINVAL);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 1, 4096, WEIR_PROT_RW, &mapping, &err),
			 -EINVAL);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 4095, WEIR_PROT_RW, &mapping, &err),
			 -EINVAL);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, MIB, 4096, WEIR_PROT_RW, &mapping, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "past the end"));
	assert_int_equal(
		weir_ioas_map_fd(ioas, fd, UINT64_MAX - 4095, 4096, WEIR_PROT_RW, &mapping, &err),
		-EINVAL);
	assert_int_equal(
		weir_ioas_map_fd(ioas, fd, 4096, UINT64_MAX - 4095, WEIR_PROT_RW, &mapping, &err),
		-EINVAL);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 4096, (enum weir_prot)0, &mapping, &err),
			 -EINVAL);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 4096, (enum weir_prot)4, &mapping, &err),
			 -EINVAL);
	assert_int_equal(weir_ioas_map_fd(ioas, -1, 0, 4096, WEIR_PROT_RW, &mapping, &err), -EBADF);
	assert_int_equal(weir_ioas_map_dmabuf(ioas, -1, 0, 4096, WEIR_PROT_RW, &mapping, &err),
			 -EBADF);
	assert_int_equal(weir_ioas_map_user(ioas, (void *)4097, 4096, WEIR_PROT_RW, &mapping, &err),
			 -EINVAL);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(weir_ioas_map_fd(ioas, other, 0, 4096, WEIR_PROT_RW, &mapping, &err),
			 -EACCES);
	assert_int_equal(weir_ioas_map_fd(ioas, other, 0, 4096, WEIR_PROT_READ, &mapping, &err), 0);
	close(other);
	other = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(weir_ioas_map_fd(ioas, other, 0, 4096, WEIR_PROT_WRITE, &mapping, &err),
			 -EACCES);
	close(other);
	other = open(path, O_PATH | O_CLOEXEC);
	assert_int_equal(weir_ioas_map_fd(ioas, other, 0, 4096, WEIR_PROT_READ, &mapping, &err),
			 -EBADF);
	close(other);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(weir_ioas_map_fd(ioas, pipes[0], 0, 4096, WEIR_PROT_READ, &mapping, &err),
			 -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(weir_ioas_list(ioas, NULL, 0), 1);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

/* What devices only read cannot be written through the descriptor that a server is given. */
static void test_read_only_descriptor(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake fake = make_fake();
	struct ioas_attachment *attachment = attach(ioas, &fake);
	struct weir_mapping *mapping;
	int fd = make_file(MIB);
	void *memory;

	(void)state;
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 4096, 8192, WEIR_PROT_READ, &mapping, NULL), 0);
	assert_int_equal(fcntl(fake.mapped[0].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(fake.mapped[0].fd, F_GETFD) & FD_CLOEXEC);
	errno = 0;
	memory = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fake.mapped[0].fd, 0);
	assert_ptr_equal(memory, MAP_FAILED);
	assert_int_equal(errno, EACCES);
	/* It is the same file. */
	memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fake.mapped[0].fd, 4096);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(pwrite(fd, "same", 5, 4096), 5);
	assert_string_equal((char *)memory, "same");
	munmap(memory, 4096);
	assert_int_equal(weir_ioas_unmap(ioas, mapping, NULL), 0);

	assert_int_equal(weir_ioas_map_fd(ioas, fd, 0, 4096, WEIR_PROT_WRITE, &mapping, NULL), 0);
	assert_int_equal(fcntl(fake.mapped[0].fd, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_int_equal(weir_ioas_unmap(ioas, mapping, NULL), 0);
	ioas_detach(attachment);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

static void test_access(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct weir_mapping *rw, *ro, *wo;
	uint64_t iova, end;
	int fd = make_file(MIB);
	char data[16] = "abc";

	(void)state;
	rw = map_file(ioas, fd, 8192);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 4096, 4096, WEIR_PROT_READ, &ro, NULL), 0);
	assert_int_equal(weir_ioas_map_fd(ioas, fd, 4096, 4096, WEIR_PROT_WRITE, &wo, NULL), 0);
	iova = weir_mapping_iova(rw, NULL);
	end = iova + 8192;
	assert_int_equal(ioas_access(ioas, iova + 4096, data, 4, true), 0);
	memset(data, 0, sizeof(data));
	assert_int_equal(ioas_access(ioas, weir_mapping_iova(ro, NULL), data, 4, false), 0);
	assert_string_equal(data, "abc");
	assert_int_equal(ioas_access(ioas, weir_mapping_iova(ro, NULL), data, 4, true), -EFAULT);
	assert_int_equal(ioas_access(ioas, weir_mapping_iova(wo, NULL), data, 4, false), -EFAULT);
	assert_int_equal(ioas_access(ioas, end - 4, data, 4, true), 0);
	/* Mappings side by side are not one. */
	assert_int_equal(weir_mapping_iova(ro, NULL), end);
	assert_int_equal(ioas_access(ioas, end - 4, data, 5, false), -EFAULT);
	assert_int_equal(ioas_access(ioas, iova - 1, data, 1, false), -EFAULT);
	assert_int_equal(ioas_access(ioas, iova, data, UINT64_MAX, false), -EFAULT);
	assert_int_equal(ioas_access(ioas, iova, data, 0, false), 0);
	assert_int_equal(ioas_access(ioas, 0, data, 1, false), -EFAULT);
	assert_int_equal(ioas_access(ioas, UINT64_MAX, data, 2, false), -EFAULT);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
}

/* Somebody cuts the file off: the mapping is dead, each device tells it once. */
static void test_truncated_file(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake fake = make_fake(), late = make_fake();
	struct ioas_attachment *attachment, *late_attachment;
	struct weir_mapping *mapping, *other;
	uint64_t iovas[2];
	int fd = make_file(MIB), other_fd = make_file(MIB);
	char data[4];

	(void)state;
	/* The test runner has its own handlers in place outside the test. */
	assert_int_equal(weir_fault_guard_enable(NULL), 0);
	attachment = attach(ioas, &fake);
	other = map_file(ioas, other_fd, MIB);
	mapping = map_file(ioas, fd, MIB);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(weir_mapping_state(mapping), WEIR_MAPPING_LIVE);
	assert_int_equal(ioas_access(ioas, weir_mapping_iova(mapping, NULL), data, 4, false),
			 -EFAULT);
	assert_int_equal(weir_mapping_state(mapping), WEIR_MAPPING_DEAD);
	assert_int_equal(weir_mapping_state(other), WEIR_MAPPING_LIVE);
	assert_int_equal(ioas_access(ioas, weir_mapping_iova(mapping, NULL), data, 4, false),
			 -EFAULT);
	assert_int_equal(fake.died_mappings, 1);
	late_attachment = attach(ioas, &late);
	assert_int_equal(ioas_take_dead(attachment, iovas, 0), 0);
	assert_int_equal(ioas_take_dead(attachment, iovas, 2), 1);
	assert_int_equal(iovas[0], weir_mapping_iova(mapping, NULL));
	assert_int_equal(ioas_take_dead(attachment, iovas, 2), 0);
	assert_int_equal(ioas_take_dead(late_attachment, iovas, 2), 0);
	assert_int_equal(weir_ioas_unmap(ioas, mapping, NULL), 0);
	assert_int_equal(fake.nr_mapped, 1);
	ioas_detach(attachment);
	ioas_detach(late_attachment);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(fd);
	close(other_fd);
}

static void test_save_and_adopt(void **state)
{
	struct weir_ioas *ioas = make_ioas(40), *again;
	struct weir_arena *arena = make_arena();
	struct weir_mapping *of_arena, *of_file, *user;
	struct weir_mapping_info before[2], after[2];
	struct weir_state *bag;
	struct weir_error err;
	int fd = make_file(MIB);
	char data[4] = "xyz";

	(void)state;
	assert_int_equal(weir_state_create(&bag, NULL), 0);
	assert_int_equal(weir_ioas_map_arena(ioas, arena, &of_arena, NULL), 0);
	of_file = map_file(ioas, fd, 8192);
	assert_int_equal(ioas_access(ioas, weir_mapping_iova(of_file, (void *)5), data, 4, true),
			 0);
	assert_int_equal(weir_ioas_list(ioas, before, 2), 2);
	assert_int_equal(weir_ioas_save(ioas, bag, &err), 0);
	assert_int_equal(
		weir_ioas_map_user(ioas, weir_arena_base(arena), 4096, WEIR_PROT_RW, &user, NULL),
		0);
	assert_int_equal(weir_ioas_save(ioas, bag, &err), -EOPNOTSUPP);
	weir_ioas_abandon(ioas);

	assert_int_equal(weir_ioas_adopt(bag, &arena, 1, NULL, &again, &err), 0);
	assert_int_equal(weir_ioas_list(again, after, 2), 2);
	assert_memory_equal(before, after, sizeof(before));
	of_arena = weir_ioas_find_arena(again, arena);
	assert_non_null(of_arena);
	assert_int_equal(weir_mapping_iova(of_arena, weir_arena_base(arena)),
			 weir_arena_iova(arena));
	memset(data, 0, sizeof(data));
	assert_int_equal(ioas_access(again, before[1].iova + 5, data, 4, false), 0);
	assert_string_equal(data, "xyz");
	assert_int_equal(weir_ioas_destroy(again), 0);
	assert_int_equal(weir_ioas_adopt(bag, &arena, 1, NULL, &again, &err), -EINVAL);
	weir_state_destroy(bag);
	weir_arena_destroy(arena);
	close(fd);
}

/* A record as ioas_state.c writes it: two counts, the next address, then the mappings. */
struct record {
	uint32_t bits, nr;
	uint64_t next;
	struct {
		uint64_t iova, bytes, offset;
		uint32_t kind, prot, dead, reserved;
	} mappings[2];
};

static void expect_damaged(const struct record *record, size_t bytes, const int *fds,
			   unsigned int nr_fds)
{
	struct weir_state *bag;
	struct weir_ioas *ioas;
	struct weir_error err;

	assert_int_equal(weir_state_create(&bag, NULL), 0);
	assert_int_equal(weir_state_put(bag, STATE_TYPE('I', 'O', 'A', 'S'), 1, record, bytes, fds,
					nr_fds, NULL),
			 0);
	assert_int_equal(weir_ioas_adopt(bag, NULL, 0, NULL, &ioas, &err), -EINVAL);
	weir_state_destroy(bag);
}

static void test_damaged_records(void **state)
{
	const struct record good = {
		.bits = 39,
		.nr = 2,
		.mappings = { { WEIR_IOVA_WINDOW_BASE, 4096, 0, 2, 3, 0, 0 },
			      { WEIR_IOVA_WINDOW_BASE + 4096, 4096, 4096, 3, 1, 0, 0 } },
	};
	int fds[3] = { make_file(8192), make_file(8192), make_file(8192) };
	struct weir_state *bag;
	struct weir_ioas *ioas;
	struct record bad;

	(void)state;
	assert_int_equal(weir_state_create(&bag, NULL), 0);
	assert_int_equal(weir_state_put(bag, STATE_TYPE('I', 'O', 'A', 'S'), 1, &good, sizeof(good),
					fds, 2, NULL),
			 0);
	assert_int_equal(weir_ioas_adopt(bag, NULL, 0, NULL, &ioas, NULL), 0);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	weir_state_destroy(bag);

	expect_damaged(&good, sizeof(good) - 1, fds, 2);
	expect_damaged(&good, 8, fds, 0);
	expect_damaged(&good, sizeof(good), fds, 1);
	expect_damaged(&good, sizeof(good), fds, 3);
#define DAMAGE(member, value) \
	do { \
		bad = good; \
		bad.member = (value); \
		expect_damaged(&bad, sizeof(bad), fds, 2); \
	} while (0)
	DAMAGE(bits, 31);
	DAMAGE(nr, 1);
	DAMAGE(nr, 3);
	DAMAGE(nr, UINT32_MAX);
	DAMAGE(mappings[0].iova, 1);
	DAMAGE(mappings[0].iova, WEIR_IOVA_WINDOW_END);
	DAMAGE(mappings[0].iova, WEIR_IOVA_WINDOW_BASE + 4096);
	DAMAGE(mappings[0].bytes, 0);
	DAMAGE(mappings[0].bytes, 100);
	DAMAGE(mappings[0].bytes, 12288);
	DAMAGE(mappings[0].bytes, UINT64_MAX - 4095);
	DAMAGE(mappings[0].offset, 8192);
	DAMAGE(mappings[0].offset, UINT64_MAX - 4095);
	DAMAGE(mappings[0].kind, 0);
	DAMAGE(mappings[0].kind, 1);
	DAMAGE(mappings[0].kind, 4);
	DAMAGE(mappings[0].prot, 0);
	DAMAGE(mappings[0].prot, 4);
	DAMAGE(mappings[0].dead, 2);
#undef DAMAGE
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

struct worker {
	struct weir_ioas *ioas;
	int fd;
	_Atomic bool *stop;
};

static void *map_and_unmap(void *arg)
{
	const struct worker *worker = arg;

	for (int i = 0; i < 300; i++) {
		struct weir_mapping *mapping;

		if (weir_ioas_map_fd(worker->ioas, worker->fd, 0, 4096 * (1 + i % 5), WEIR_PROT_RW,
				     &mapping, NULL))
			return (void *)1;
		if (weir_ioas_unmap(worker->ioas, mapping, NULL))
			return (void *)1;
	}
	return NULL;
}

static void *access_memory(void *arg)
{
	const struct worker *worker = arg;
	struct weir_mapping_info info[8];
	char data[64];

	while (!atomic_load(worker->stop)) {
		unsigned int nr = weir_ioas_list(worker->ioas, info, 8);

		for (unsigned int i = 0; i < nr && i < 8; i++)
			ioas_access(worker->ioas, info[i].iova, data, sizeof(data), i & 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct weir_ioas *ioas = make_ioas(0);
	struct fake fake = make_fake();
	struct ioas_attachment *attachment;
	_Atomic bool stop = false;
	struct worker worker = { ioas, make_file(MIB), &stop };
	pthread_t mappers[3], reader;
	void *ret;

	(void)state;
	/* map() reads memory through the IOAS while it holds the set-up lock. */
	fake.access = ioas;
	attachment = attach(ioas, &fake);
	assert_int_equal(pthread_create(&reader, NULL, access_memory, &worker), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&mappers[i], NULL, map_and_unmap, &worker), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(mappers[i], &ret);
		assert_null(ret);
	}
	atomic_store(&stop, true);
	pthread_join(reader, NULL);
	assert_int_equal(fake.map_calls, 900);
	assert_int_equal(fake.nr_mapped, 0);
	ioas_detach(attachment);
	assert_int_equal(weir_ioas_destroy(ioas), 0);
	close(worker.fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_fds, same_fds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_options),
		TEST(test_replay_and_addresses),
		TEST(test_conflict_names_both),
		TEST(test_map_is_all_or_nothing),
		TEST(test_attach_is_all_or_nothing),
		TEST(test_limits),
		TEST(test_addresses_in_ranges),
		TEST(test_addresses_run_out),
		TEST(test_dead_devices),
		TEST(test_short_unmap),
		TEST(test_bad_files),
		TEST(test_read_only_descriptor),
		TEST(test_access),
		cmocka_unit_test(test_truncated_file),
		TEST(test_save_and_adopt),
		TEST(test_damaged_records),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
