/* SPDX-License-Identifier: BSD-3-Clause */
/* Arenas: where they lie, what they promise about blocks, limits of the system, and adoption. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/memory.h>

#include "base/base.h"
#include "base/state.h"
#include "fd_count.h"
#include "memory/budget.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#if defined(__SANITIZE_ADDRESS__)
#define DEFAULT_DELTA WEIR_ASAN_IOVA_DELTA
#else
#define DEFAULT_DELTA UINT64_C(0)
#endif

struct lines {
	unsigned int count;
	enum weir_log_level level;
	char text[512];
};

static void keep_line(void *ctx, enum weir_log_level level, const char *text)
{
	struct lines *lines = ctx;

	lines->count++;
	lines->level = level;
	snprintf(lines->text, sizeof(lines->text), "%s", text);
}

/* Mappings of arenas in this process. */
static unsigned int count_maps(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned int count = 0;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		count += strstr(line, "/memfd:weir") != NULL;
	fclose(file);
	return count;
}

static unsigned int fds_before;

static int begin(void **state)
{
	(void)state;
	fds_before = fd_count();
	return count_maps() ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	return fd_count() == fds_before && count_maps() == 0 ? 0 : -1;
}

/* Ordinary pages, silent. */
static struct weir_arena_options plain(uint64_t bytes)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;

	options.bytes = bytes;
	options.page_size = WEIR_PAGE_4K;
	return options;
}

static struct weir_arena *create(const struct weir_arena_options *options)
{
	struct weir_error err = { 0 };
	struct weir_arena *arena;
	int rc = weir_arena_create(options, &arena, &err);

	if (rc)
		fail_msg("%s", err.text);
	return arena;
}

static struct weir_arena *create_plain(uint64_t bytes)
{
	struct weir_arena_options options = plain(bytes);

	return create(&options);
}

static void assert_not_created(const struct weir_arena_options *options, int code, const char *text)
{
	struct weir_arena *arena;
	struct weir_error err = { 0 };

	assert_int_equal(weir_arena_create(options, &arena, &err), code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_int_equal(weir_arena_create(options, &arena, NULL), code);
}

static void test_shape(void **state)
{
	struct weir_arena *arena = create_plain(MIB(3) + 1);
	int fd = weir_arena_fd(arena);
	uint8_t *base = weir_arena_base(arena);
	struct stat status;

	(void)state;
	assert_int_equal(weir_arena_bytes(arena), MIB(3) + KIB(4));
	assert_int_equal(weir_arena_page_bytes(arena), 4096);
	assert_int_equal(weir_arena_iova(arena), (uintptr_t)base - DEFAULT_DELTA);
	assert_int_equal(weir_arena_ptr_iova(arena, base + 77), weir_arena_iova(arena) + 77);
	assert_true(weir_is_aligned((uintptr_t)base, MIB(4)));
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, MIB(3) + KIB(4));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, MIB(8)), -1);
	assert_true(fcntl(fd, F_GET_SEALS) & F_SEAL_SEAL);
	for (uint64_t at = 0; at < weir_arena_bytes(arena); at += 4096)
		assert_int_equal(base[at], 0);
	weir_arena_destroy(arena);
	weir_arena_destroy(NULL);
}

/* Every page is there before anybody touches it. */
static void test_populated(void **state)
{
	struct weir_arena *arena = create_plain(MIB(2));
	struct rusage before, after;
	volatile uint8_t *base = weir_arena_base(arena);

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	for (uint64_t at = 0; at < MIB(2); at += 4096)
		base[at] = 1;
	getrusage(RUSAGE_SELF, &after);
	assert_in_range(after.ru_minflt - before.ru_minflt, 0, 20);
	weir_arena_destroy(arena);
}

static void test_window(void **state)
{
	const uint64_t sizes[] = { MIB(1), MIB(3), KIB(64), MIB(5), KIB(4) };
	const uint64_t iovas[] = { GIB(4), GIB(4) + MIB(4), GIB(4) + MIB(2), GIB(4) + MIB(8),
				   GIB(4) + MIB(14) };
	struct weir_arena *arenas[ARRAY_SIZE(sizes)];

	(void)state;
	/* The same every time and in every process. */
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
			arenas[i] = create_plain(sizes[i]);
			assert_int_equal(weir_arena_iova(arenas[i]), iovas[i]);
		}
		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
			weir_arena_destroy(arenas[(i * 3) % ARRAY_SIZE(sizes)]);
	}
}

static void test_delta(void **state)
{
	struct weir_arena_options options = plain(MIB(1));
	struct weir_arena *arena;

	(void)state;
	options.iova_delta = UINT64_C(0x210000000000);
	arena = create(&options);
	assert_int_equal(weir_arena_iova(arena), GIB(4));
	assert_int_equal((uintptr_t)weir_arena_base(arena), GIB(4) + options.iova_delta);
	assert_int_equal(weir_arena_ptr_iova(arena, (char *)weir_arena_base(arena) + 5),
			 GIB(4) + 5);
	weir_arena_destroy(arena);
}

/* What lies in the window stays there; with all of it taken there is no room. */
static void test_window_taken(void **state)
{
	struct weir_arena_options options = plain(MIB(1));
	void *first = (void *)(uintptr_t)(WEIR_ARENA_WINDOW_BASE + DEFAULT_DELTA);
	const uint64_t all = WEIR_ARENA_WINDOW_END - WEIR_ARENA_WINDOW_BASE;
	struct weir_arena *arena;
	char *page;

	(void)state;
	page = mmap(first, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(page, first);
	*page = 'x';
	arena = create(&options);
	assert_int_equal(weir_arena_iova(arena), GIB(4) + MIB(2));
	assert_int_equal(*page, 'x');
	weir_arena_destroy(arena);
	munmap(page, 4096);

	assert_ptr_equal(mmap(first, all, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
			      0),
			 first);
	assert_not_created(&options, -ENOSPC, "no room for 1 MiB in the window");
	/* The last place of all. */
	munmap((char *)first + all - MIB(2), MIB(2));
	arena = create(&options);
	assert_int_equal(weir_arena_iova(arena), WEIR_ARENA_WINDOW_END - MIB(2));
	munmap(first, all - MIB(2));
	weir_arena_destroy(arena);
}

static void test_bad_options(void **state)
{
	struct weir_arena_options options = plain(0);

	(void)state;
	assert_not_created(&options, -EINVAL, "0 bytes is not from 4096");
	options.bytes = 4095;
	assert_not_created(&options, -EINVAL, "4095 bytes");
	options.bytes = GIB(64) + 1;
	assert_not_created(&options, -EINVAL, "68719476737 bytes");
	options.bytes = UINT64_MAX;
	assert_not_created(&options, -EINVAL, "18446744073709551615 bytes");
	options = plain(MIB(1));
	options.state_bytes = GIB(64) + 1;
	assert_not_created(&options, -EINVAL, "of state is over");
	options = plain(MIB(1));
	options.iova_delta = MIB(512);
	assert_not_created(&options, -EINVAL, "IOVA delta 0x20000000");
	options.iova_delta = UINT64_C(1) << 46;
	assert_not_created(&options, -EINVAL, "IOVA delta 0x400000000000");
	options = plain(MIB(1));
	options.node = 4000;
	assert_not_created(&options, -EINVAL, "node 4000 does not exist");
	options.node = -2;
	assert_not_created(&options, -EINVAL, "node -2 does not exist");
	options = plain(MIB(1));
	options.page_size = 13;
	assert_not_created(&options, -EINVAL, "page size 13");
	options = plain(MIB(1));
	options.size = 1;
	assert_not_created(&options, -EINVAL, "size 1");
}

/* Without huge pages there is one notice with the command; with them there is none. */
static void test_huge_page_notice(void **state)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct lines lines = { 0 };
	struct weir_arena *arena;

	(void)state;
	options.bytes = MIB(4);
	options.log = (struct weir_log){ keep_line, &lines, WEIR_LOG_WARN };
	arena = create(&options);
	if (weir_arena_page_bytes(arena) == 4096) {
		assert_int_equal(lines.count, 1);
		assert_int_equal(lines.level, WEIR_LOG_WARN);
		assert_non_null(strstr(lines.text, "--pool-pages-min 2MB:+2"));
		assert_non_null(strstr(lines.text, "hugeadm "));
	} else {
		assert_int_equal(weir_arena_page_bytes(arena), MIB(2));
		assert_int_equal(lines.count, 0);
	}
	weir_arena_destroy(arena);

	/* Small arenas do not ask for them. */
	lines.count = 0;
	options.bytes = MIB(2) - 1;
	arena = create(&options);
	assert_int_equal(weir_arena_page_bytes(arena), 4096);
	assert_int_equal(lines.count, 0);
	weir_arena_destroy(arena);
}

/* Demanded huge pages come or the error names the command. */
static void test_huge_pages_demanded(void **state)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_error err = { 0 };
	struct weir_arena *arena;
	int rc;

	(void)state;
	options.bytes = MIB(2) + 1;
	options.page_size = WEIR_PAGE_2M;
	rc = weir_arena_create(&options, &arena, &err);
	if (rc) {
		assert_int_equal(rc, -ENOMEM);
		assert_non_null(strstr(err.text, "--pool-pages-min 2MB:+2"));
	} else {
		assert_int_equal(weir_arena_page_bytes(arena), MIB(2));
		assert_int_equal(weir_arena_bytes(arena), MIB(4));
		assert_non_null(weir_arena_alloc(arena, 1, MIB(2)));
		weir_arena_destroy(arena);
	}
	/* A page that is larger than what is asked for. */
	options.bytes = 4096;
	options.page_size = WEIR_PAGE_1G;
	rc = weir_arena_create(&options, &arena, &err);
	if (rc) {
		assert_int_equal(rc, -ENOMEM);
		assert_non_null(strstr(err.text, "--pool-pages-min 1GB:+1"));
	} else {
		assert_int_equal(weir_arena_bytes(arena), GIB(1));
		assert_true(weir_is_aligned((uintptr_t)weir_arena_base(arena), GIB(1)));
		weir_arena_destroy(arena);
	}
	/* More than any machine that runs this has. */
	options.bytes = GIB(64);
	options.page_size = WEIR_PAGE_1G;
	assert_not_created(&options, -ENOMEM, "--pool-pages-min 1GB:+64");
}

static void test_too_large(void **state)
{
	struct weir_arena_options options = plain(GIB(64));

	(void)state;
	if ((uint64_t)sysconf(_SC_PHYS_PAGES) * 4096 > GIB(64)) {
		print_message("skipped: this machine has the 64 GiB\n");
		skip();
	}
	assert_not_created(&options, -ENOMEM, "67108864 KiB is over");
}

/* Limits of the process: an error, not a signal. */
static void test_limits(void **state)
{
	struct weir_arena_options options = plain(MIB(16));
	struct rlimit old, limit;

	(void)state;
	getrlimit(RLIMIT_FSIZE, &old);
	limit = (struct rlimit){ MIB(1), old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_not_created(&options, -EFBIG, "RLIMIT_FSIZE");
	setrlimit(RLIMIT_FSIZE, &old);

	/* No descriptor at all, and one too few. */
	getrlimit(RLIMIT_NOFILE, &old);
	for (unsigned int room = 0; room < 2; room++) {
		int next = eventfd(0, EFD_CLOEXEC);

		close(next);
		limit = (struct rlimit){ (rlim_t)next + room, old.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		assert_not_created(&options, -EMFILE, "memfd_create");
		setrlimit(RLIMIT_NOFILE, &old);
	}
#if !defined(__SANITIZE_ADDRESS__)
	getrlimit(RLIMIT_AS, &old);
	limit = (struct rlimit){ MIB(16), old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	assert_not_created(&options, -ENOMEM, "RLIMIT_AS");
	setrlimit(RLIMIT_AS, &old);
#endif
}

static void write_file(const char *directory, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Control groups, by a tree of files like the kernel's. */
static void test_cgroup(void **state)
{
	char root[] = "/tmp/weir-test-XXXXXX", inner[64], outer[64], group[64] = "", command[64];

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(outer, sizeof(outer), "%s/outer", root);
	snprintf(inner, sizeof(inner), "%s/outer/inner", root);
	assert_int_equal(mkdir(outer, 0700), 0);
	assert_int_equal(mkdir(inner, 0700), 0);
	assert_true(budget_of_cgroup(root, "/outer/inner", group, sizeof(group)) == UINT64_MAX);

	write_file(inner, "memory.max", "max\n");
	assert_true(budget_of_cgroup(root, "/outer/inner", group, sizeof(group)) == UINT64_MAX);
	write_file(outer, "memory.max", "1000000\n");
	assert_int_equal(budget_of_cgroup(root, "/outer/inner", group, sizeof(group)), 1000000);
	assert_string_equal(group, outer);
	write_file(outer, "memory.current", "400000\n");
	assert_int_equal(budget_of_cgroup(root, "/outer/inner", group, sizeof(group)), 600000);
	write_file(outer, "memory.stat",
		   "anon 1\nfile 2\ninactive_anon 7\nactive_anon 9\n"
		   "inactive_file 30000\nactive_file 20000\n");
	assert_int_equal(budget_of_cgroup(root, "/outer/inner", group, sizeof(group)), 650000);
	write_file(inner, "memory.max", "5000\n");
	write_file(inner, "memory.current", "6000\n");
	assert_int_equal(budget_of_cgroup(root, "/outer/inner", group, sizeof(group)), 0);
	assert_string_equal(group, inner);
	assert_true(budget_of_cgroup(root, "/", group, sizeof(group)) == UINT64_MAX);

	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

static int is_zero(const void *memory, size_t bytes)
{
	const uint8_t *byte = memory;

	for (size_t at = 0; at < bytes; at++) {
		if (byte[at])
			return 0;
	}
	return 1;
}

static void test_alloc(void **state)
{
	struct weir_arena *arena = create_plain(MIB(4));
	uint8_t *base = weir_arena_base(arena);

	(void)state;
	/* All sizes to two pages and more: aligned, zeroed, and none up to a page crosses one. */
	for (size_t bytes = 1; bytes <= 10000; bytes += bytes < 300 ? 1 : 61) {
		uint8_t *block = weir_arena_alloc(arena, bytes, 0);
		uint64_t natural = weir_round_up_power_of_two(bytes);

		assert_non_null(block);
		assert_true(block >= base && block + bytes <= base + MIB(4));
		assert_true(weir_is_aligned((uintptr_t)block, natural));
		assert_true(is_zero(block, bytes));
		if (bytes <= 4096)
			assert_int_equal((uintptr_t)block / 4096,
					 ((uintptr_t)block + bytes - 1) / 4096);
		memset(block, 0xff, bytes);
		weir_arena_free(arena, block);
	}
	/* A larger block where dirty smaller ones were. */
	assert_true(is_zero(weir_arena_alloc(arena, MIB(4), 0), MIB(4)));
	assert_null(weir_arena_alloc(arena, 1, 0));
	weir_arena_free(arena, base);

	for (size_t align = 1; align <= 4096; align *= 2) {
		uint8_t *block = weir_arena_alloc(arena, 3, align);

		assert_non_null(block);
		assert_true(weir_is_aligned((uintptr_t)block, align));
	}
	assert_null(weir_arena_alloc(arena, 0, 0));
	assert_null(weir_arena_alloc(arena, 1, 3));
	assert_null(weir_arena_alloc(arena, 1, 8192)); /* over the arena's page */
	assert_null(weir_arena_alloc(arena, MIB(4) + 1, 0));
	assert_null(weir_arena_alloc(arena, SIZE_MAX, 0));
	weir_arena_destroy(arena);
}

static void test_free_twice(void **state)
{
	struct weir_arena_options options = plain(MIB(1));
	struct lines lines = { 0 };
	struct weir_arena *arena;
	uint8_t *block, *other;

	(void)state;
	options.log = (struct weir_log){ keep_line, &lines, WEIR_LOG_WARN };
	arena = create(&options);
	block = weir_arena_alloc(arena, 100, 0);
	other = weir_arena_alloc(arena, 100, 0);
	weir_arena_free(arena, NULL);
	weir_arena_free_state(arena, NULL);
	weir_arena_free(arena, block);
	assert_int_equal(lines.count, 0);
	weir_arena_free(arena, block);
	assert_int_equal(lines.count, 1);
	assert_int_equal(lines.level, WEIR_LOG_ERROR);
	assert_non_null(strstr(lines.text, "where no block begins"));
	weir_arena_free(arena, other + 1);
	weir_arena_free(arena, &lines);
	weir_arena_free(arena, (uint8_t *)weir_arena_base(arena) + MIB(1));
	weir_arena_free_state(arena, other);
	assert_int_equal(lines.count, 5);
	memset(other, 0x11, 100); /* still ours */
	weir_arena_free(arena, other);
	assert_int_equal(lines.count, 5);
	weir_arena_destroy(arena);
}

static void test_state_memory(void **state)
{
	struct weir_arena_options options = plain(MIB(1));
	struct weir_arena *arena;
	uint8_t *base, *block, *first;
	unsigned int count = 0;

	(void)state;
	options.state_bytes = KIB(64) - 1;
	arena = create(&options);
	base = weir_arena_base(arena);
	first = weir_arena_alloc_state(arena, 1);
	assert_non_null(first);
	assert_true(first + 64 <= base || first >= base + MIB(1));
	assert_int_equal(weir_arena_state_offset(arena, first), 0);
	for (block = first; block; block = weir_arena_alloc_state(arena, 1000)) {
		assert_true(weir_is_aligned((uintptr_t)block, 64));
		assert_true(is_zero(block, 1000));
		assert_ptr_equal(
			weir_arena_state_ptr(arena, weir_arena_state_offset(arena, block), 1000),
			block);
		memset(block, 0xff, block == first ? 64 : 1000);
		count++;
	}
	assert_int_equal(count, 64);
	weir_arena_free_state(arena, first + KIB(1));
	block = weir_arena_alloc_state(arena, 1024);
	assert_ptr_equal(block, first + KIB(1));
	assert_true(is_zero(block, 1024));

	assert_null(weir_arena_alloc_state(arena, 0));
	assert_null(weir_arena_alloc_state(arena, SIZE_MAX));
	assert_non_null(weir_arena_state_ptr(arena, 0, KIB(64)));
	assert_null(weir_arena_state_ptr(arena, 0, KIB(64) + 1));
	assert_null(weir_arena_state_ptr(arena, KIB(64), 1));
	assert_null(weir_arena_state_ptr(arena, UINT64_MAX, 2));
	assert_null(weir_arena_state_ptr(arena, 64, SIZE_MAX));
	weir_arena_destroy(arena);
}

/* What a predecessor leaves: an arena with some blocks, saved. */
struct legacy {
	struct weir_arena *arena;
	struct weir_state *state;
	uint8_t *small, *large, *queue;
	uint64_t queue_offset;
};

static void make_legacy(struct legacy *legacy)
{
	struct weir_arena_options options = plain(MIB(2));

	options.name = "weir legacy";
	legacy->arena = create(&options);
	legacy->small = weir_arena_alloc(legacy->arena, 300, 0);
	legacy->large = weir_arena_alloc(legacy->arena, 20000, 0);
	legacy->queue = weir_arena_alloc_state(legacy->arena, 500);
	legacy->queue_offset = weir_arena_state_offset(legacy->arena, legacy->queue);
	memcpy(legacy->small, "small", 6);
	memcpy(legacy->large + 19990, "large", 6);
	memcpy(legacy->queue, "queue", 6);
	assert_int_equal(weir_state_create(&legacy->state, NULL), 0);
	assert_int_equal(weir_arena_save(legacy->arena, legacy->state, NULL), 0);
}

/* In the successor; says which check failed by its line. */
static int check_adopted(struct legacy *legacy)
{
	struct lines lines = { 0 };
	struct weir_log log = { keep_line, &lines, WEIR_LOG_WARN };
	uint64_t iova = weir_arena_iova(legacy->arena);
	struct weir_arena *arena;
	uint8_t *block, *queue;

	if (weir_arena_adopt(legacy->state, NULL, &arena, NULL) != -EEXIST)
		return __LINE__;
	weir_arena_destroy(legacy->arena);
	weir_state_destroy(legacy->state);
	make_legacy(legacy); /* the same again: what the failed adoption took is gone */
	weir_arena_destroy(legacy->arena);
	if (weir_arena_adopt(legacy->state, &log, &arena, NULL))
		return __LINE__;
	if (weir_arena_iova(arena) != iova || weir_arena_bytes(arena) != MIB(2))
		return __LINE__;
	if (strcmp((char *)legacy->small, "small") ||
	    strcmp((char *)legacy->large + 19990, "large"))
		return __LINE__;
	queue = weir_arena_state_ptr(arena, legacy->queue_offset, 500);
	if (!queue || strcmp((char *)queue, "queue"))
		return __LINE__;
	/* New blocks are apart from the old ones, and old ones can be freed, once. */
	block = weir_arena_alloc(arena, 300, 0);
	if (!block || block == legacy->small)
		return __LINE__;
	weir_arena_free(arena, block);
	weir_arena_free(arena, legacy->small);
	weir_arena_free(arena, legacy->large);
	weir_arena_free_state(arena, queue);
	if (lines.count || !weir_arena_alloc(arena, MIB(2), 0))
		return __LINE__;
	weir_arena_free(arena, legacy->large);
	if (lines.count != 1)
		return __LINE__;
	weir_arena_destroy(arena);
	weir_state_destroy(legacy->state);
	return 0;
}

static void test_adopt(void **state)
{
	struct legacy legacy;
	int status;
	pid_t child;

	(void)state;
	make_legacy(&legacy);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		int line = check_adopted(&legacy);

		if (line)
			fprintf(stderr, "%s:%d: failed\n", __FILE__, line);
		_exit(line != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	weir_arena_destroy(legacy.arena);
	weir_state_destroy(legacy.state);
}

/* A process that adopts while its predecessor lives shares the memory with it. */
static void test_adopt_beside(void **state)
{
	struct legacy legacy;
	int status;
	pid_t child;

	(void)state;
	make_legacy(&legacy);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct weir_arena *arena;
		uint8_t *block;

		weir_arena_destroy(legacy.arena); /* the copy that fork() made */
		if (weir_arena_adopt(legacy.state, NULL, &arena, NULL))
			_exit(1);
		block = weir_arena_alloc(arena, 64, 0);
		memcpy(legacy.small, "other", 6);
		_exit(!block);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_string_equal((char *)legacy.small, "other");
	weir_arena_destroy(legacy.arena);
	weir_state_destroy(legacy.state);
}

#define RECORD_BYTES (5 * 8 + 2 * 4 + 64)

/* Adopts a record made of these parts. */
static int adopt_record(const void *payload, size_t bytes, const int *fds, unsigned int nr_fds,
			struct weir_arena **arena)
{
	struct weir_state *state;
	struct weir_error err = { 0 };
	int rc;

	assert_int_equal(weir_state_create(&state, NULL), 0);
	assert_int_equal(weir_state_put(state, STATE_TYPE('A', 'R', 'E', 'N'), 1, payload, bytes,
					fds, nr_fds, NULL),
			 0);
	rc = weir_arena_adopt(state, NULL, arena, &err);
	assert_int_equal(rc, err.code);
	if (rc)
		assert_true(err.text[0] != '\0');
	weir_state_destroy(state);
	return rc;
}

/* The record and descriptors of a saved arena, which is destroyed. */
static struct weir_state *saved_parts(const uint8_t **payload, int fds[2])
{
	struct legacy legacy;
	unsigned int nr_fds;
	const void *taken;
	size_t bytes;

	make_legacy(&legacy);
	weir_arena_destroy(legacy.arena);
	assert_int_equal(weir_state_take(legacy.state, STATE_TYPE('A', 'R', 'E', 'N'), 1, &taken,
					 &bytes, fds, 2, &nr_fds, NULL),
			 0);
	assert_int_equal(bytes, RECORD_BYTES);
	assert_int_equal(nr_fds, 2);
	*payload = taken;
	return legacy.state;
}

static void test_damaged_record(void **unused)
{
	uint8_t damaged[RECORD_BYTES + 8] = { 0 };
	unsigned int refused = 0, fds_now;
	const uint8_t *payload;
	struct weir_arena *arena;
	int fds[2];
	struct weir_state *state = saved_parts(&payload, fds);

	(void)unused;
	fds_now = fd_count();
	memcpy(damaged, payload, RECORD_BYTES);
	for (unsigned int bit = 0; bit < RECORD_BYTES * 8; bit++) {
		int rc;

		damaged[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = adopt_record(damaged, RECORD_BYTES, fds, 2, &arena);
		damaged[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* Another place that is as good, or occupied; all else is wrong. */
		if (!rc)
			weir_arena_destroy(arena);
		else if (rc == -EINVAL)
			refused++;
		else
			assert_int_equal(rc, -EEXIST);
		assert_int_equal(fd_count(), fds_now);
		assert_int_equal(count_maps(), 0);
	}
	/* Sizes and the reserved word: all of their bits. */
	assert_true(refused >= 3 * 64 + 32);
	for (unsigned int cut = 0; cut <= RECORD_BYTES + 8; cut++) {
		if (cut != RECORD_BYTES)
			assert_int_equal(adopt_record(damaged, cut, fds, 2, &arena), -EINVAL);
	}
	assert_int_equal(fd_count(), fds_now);
	close(fds[0]);
	close(fds[1]);
	weir_state_destroy(state);
}

static int make_memfd(uint64_t bytes, int seals)
{
	int fd = memfd_create("weir test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Files that are not what the record says, or that could be pulled away. */
static void test_wrong_files(void **unused)
{
	const uint8_t *payload;
	struct weir_arena *arena;
	int fds[2], wrong[6];
	struct weir_state *state = saved_parts(&payload, fds);

	(void)unused;
	wrong[0] = make_memfd(MIB(2), 0);
	wrong[1] = make_memfd(MIB(2), F_SEAL_GROW);
	wrong[2] = make_memfd(MIB(1), F_SEAL_SHRINK | F_SEAL_GROW);
	wrong[3] = eventfd(0, EFD_CLOEXEC);
	wrong[4] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	wrong[5] = fds[1];
	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
		int swapped[2] = { wrong[i], fds[1] };

		assert_int_equal(adopt_record(payload, RECORD_BYTES, swapped, 2, &arena), -EINVAL);
		swapped[0] = fds[0];
		swapped[1] = i == 5 ? fds[0] : wrong[i];
		assert_int_equal(adopt_record(payload, RECORD_BYTES, swapped, 2, &arena), -EINVAL);
	}
	assert_int_equal(adopt_record(payload, RECORD_BYTES, fds, 1, &arena), -EINVAL);
	assert_int_equal(adopt_record(payload, RECORD_BYTES, NULL, 0, &arena), -EINVAL);
	assert_int_equal(adopt_record(payload, RECORD_BYTES, fds, 2, &arena), 0);
	weir_arena_destroy(arena);
	for (unsigned int i = 0; i < 5; i++)
		close(wrong[i]);
	close(fds[0]);
	close(fds[1]);
	weir_state_destroy(state);
}

/* The allocators' records in the state file, spoilt by the predecessor. */
static void test_damaged_allocator(void **unused)
{
	const uint8_t *payload;
	struct weir_arena *arena;
	int fds[2];
	struct weir_state *state = saved_parts(&payload, fds);
	const uint64_t trees[] = { MIB(1) + 1, MIB(1) + 2 * (MIB(1) / 64) + 512 * 9 + 1 };

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(trees); i++) {
		uint8_t root, bad = 200;

		assert_int_equal(pread(fds[1], &root, 1, (off_t)trees[i]), 1);
		assert_int_equal(pwrite(fds[1], &bad, 1, (off_t)trees[i]), 1);
		assert_int_equal(adopt_record(payload, RECORD_BYTES, fds, 2, &arena), -EINVAL);
		assert_int_equal(pwrite(fds[1], &root, 1, (off_t)trees[i]), 1);
	}
	assert_int_equal(adopt_record(payload, RECORD_BYTES, fds, 2, &arena), 0);
	weir_arena_destroy(arena);
	close(fds[0]);
	close(fds[1]);
	weir_state_destroy(state);
}

#define arena_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		arena_test(test_shape),
		arena_test(test_populated),
		arena_test(test_window),
		arena_test(test_delta),
		arena_test(test_window_taken),
		arena_test(test_bad_options),
		arena_test(test_huge_page_notice),
		arena_test(test_huge_pages_demanded),
		arena_test(test_too_large),
		arena_test(test_limits),
		arena_test(test_cgroup),
		arena_test(test_alloc),
		arena_test(test_free_twice),
		arena_test(test_state_memory),
		arena_test(test_adopt),
		arena_test(test_adopt_beside),
		arena_test(test_damaged_record),
		arena_test(test_wrong_files),
		arena_test(test_damaged_allocator),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
