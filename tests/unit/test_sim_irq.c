/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts of an emulated function: binding, masks, pending bits, requests that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "fd_count.h"
#include "server/irq.h"
#include "sim_model.h"

#define VECTORS SIM_MODEL_VECTORS
#define NONE VFIO_USER_IRQ_DATA_NONE
#define BOOL VFIO_USER_IRQ_DATA_BOOL
#define EVENTFD VFIO_USER_IRQ_DATA_EVENTFD
#define MASK VFIO_USER_IRQ_ACTION_MASK
#define UNMASK VFIO_USER_IRQ_ACTION_UNMASK
#define TRIGGER VFIO_USER_IRQ_ACTION_TRIGGER

static struct config_space config;
static struct irqs irqs;
static unsigned int fds_before;

static int setup(void **state)
{
	struct sim_pci pci = sim_model_pci(-1);

	(void)state;
	fds_before = fd_count();
	config_space_init(&config, &pci);
	irqs_init(&irqs, &config, VECTORS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	irqs_close(&irqs);
	return fd_count() == fds_before ? 0 : -1;
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* How often it was signalled since the last look. */
static uint64_t signals(int fd)
{
	eventfd_t value = 0;

	return eventfd_read(fd, &value) ? 0 : value;
}

static int set(uint32_t kind, uint32_t flags, uint32_t start, uint32_t count, const void *data,
	       size_t bytes, int *fds, unsigned int nr_fds)
{
	struct vfio_user_irq_set request = {
		.argsz = sizeof(request),
		.flags = flags,
		.index = kind,
		.start = start,
		.count = count,
	};

	return irqs_set(&irqs, &request, data, bytes, fds, nr_fds);
}

/* Binds a duplicate, as a message brings one; returns what the test reads. */
static int bind_one(uint32_t kind, uint32_t action, uint32_t index)
{
	int fd = new_eventfd();
	int sent = dup(fd);

	assert_int_equal(set(kind, EVENTFD | action, index, 1, NULL, 0, &sent, 1), 0);
	assert_int_equal(sent, -1);
	return fd;
}

static bool pending(unsigned int vector)
{
	uint8_t byte;

	irqs_pending_read(&irqs, vector / 8, &byte, 1);
	return byte >> vector % 8 & 1;
}

static void write_control(unsigned int vector, uint32_t value)
{
	irqs_table_write(&irqs, vector * 16 + 12, &value, 4);
}

static uint32_t read_control(unsigned int vector)
{
	uint32_t value;

	irqs_table_read(&irqs, vector * 16 + 12, &value, 4);
	return value;
}

static void write_message_control(uint16_t value)
{
	if (config_space_write(&config, CONFIG_MSIX + PCI_MSIX_FLAGS, &value, 2) &
	    CONFIG_EVENT_MSIX)
		irqs_control_written(&irqs);
}

static void test_bind_and_raise(void **state)
{
	int first = bind_one(IRQ_MSIX, TRIGGER, 0);
	int last = bind_one(IRQ_MSIX, TRIGGER, VECTORS - 1);

	(void)state;
	irqs_raise(&irqs, 0);
	irqs_raise(&irqs, VECTORS - 1);
	irqs_raise(&irqs, VECTORS - 1);
	irqs_raise(&irqs, 5); /* nobody listens */
	irqs_raise(&irqs, VECTORS); /* there is no such vector */
	irqs_raise(&irqs, UINT32_MAX);
	assert_int_equal(signals(first), 1);
	assert_int_equal(signals(last), 2);
	close(first);
	close(last);
}

static void test_vectors_are_masked_after_power_on(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < VECTORS; i++)
		assert_int_equal(read_control(i), 1);
	assert_false(config_space_msix_enabled(&config));
	/* Not even pending, as MSI-X is off. */
	irqs_raise(&irqs, 0);
	assert_false(pending(0));
}

static void test_vector_mask(void **state)
{
	int fd = bind_one(IRQ_MSIX, TRIGGER, 3);

	(void)state;
	assert_int_equal(read_control(3), 0); /* binding unmasks, as the kernel's VFIO does */
	write_control(3, 1);
	irqs_raise(&irqs, 3);
	irqs_raise(&irqs, 3);
	assert_int_equal(signals(fd), 0);
	assert_true(pending(3));
	assert_false(pending(2));
	write_control(3, 0);
	assert_int_equal(signals(fd), 1); /* pending is a bit, not a count */
	assert_false(pending(3));
	write_control(3, 0);
	assert_int_equal(signals(fd), 0);
	close(fd);
}

static void test_vector_mask_by_message(void **state)
{
	const uint8_t which[] = { 0, 1, 0 };
	int fd = bind_one(IRQ_MSIX, TRIGGER, 3);

	(void)state;
	assert_int_equal(set(IRQ_MSIX, BOOL | MASK, 2, 3, which, 3, NULL, 0), 0);
	assert_int_equal(read_control(3), 1);
	irqs_raise(&irqs, 3);
	assert_int_equal(signals(fd), 0);
	assert_int_equal(set(IRQ_MSIX, NONE | UNMASK, 3, 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(signals(fd), 1);
	assert_int_equal(read_control(2), 1); /* was and stays masked */
	close(fd);
}

static void test_function_mask(void **state)
{
	int fd = bind_one(IRQ_MSIX, TRIGGER, 17);

	(void)state;
	write_message_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	irqs_raise(&irqs, 17);
	assert_int_equal(signals(fd), 0);
	assert_true(pending(17));
	/* The vector's own mask holds when the function's goes. */
	write_control(17, 1);
	write_message_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(signals(fd), 0);
	assert_true(pending(17));
	write_control(17, 0);
	assert_int_equal(signals(fd), 1);

	/* Unmasking a vector while the function is masked delivers nothing. */
	write_message_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	write_control(17, 1);
	irqs_raise(&irqs, 17);
	write_control(17, 0);
	assert_int_equal(signals(fd), 0);
	assert_true(pending(17));
	write_message_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(signals(fd), 1);
	assert_false(pending(17));
	close(fd);
}

static void test_enable_bit(void **state)
{
	int fd = bind_one(IRQ_MSIX, TRIGGER, 0);

	(void)state;
	assert_true(config_space_msix_enabled(&config));
	write_control(0, 1);
	irqs_raise(&irqs, 0);
	write_message_control(0);
	write_control(0, 0); /* off: stays pending */
	assert_int_equal(signals(fd), 0);
	assert_true(pending(0));
	irqs_raise(&irqs, 0);
	assert_int_equal(signals(fd), 0);
	write_message_control(PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(signals(fd), 1);
	close(fd);
}

static void test_rebind_and_unbind(void **state)
{
	int first = bind_one(IRQ_MSIX, TRIGGER, 1);
	int second = bind_one(IRQ_MSIX, TRIGGER, 1);

	(void)state;
	irqs_raise(&irqs, 1);
	assert_int_equal(signals(first), 0);
	assert_int_equal(signals(second), 1);
	/* No descriptors: unbound, and masked again. */
	assert_int_equal(set(IRQ_MSIX, EVENTFD | TRIGGER, 1, 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(read_control(1), 1);
	irqs_raise(&irqs, 1);
	assert_int_equal(signals(second), 0);
	assert_true(pending(1));
	close(first);
	close(second);
}

static void test_disable(void **state)
{
	int fd = bind_one(IRQ_MSIX, TRIGGER, 4);

	(void)state;
	write_control(4, 1);
	irqs_raise(&irqs, 4);
	assert_int_equal(set(IRQ_MSIX, NONE | TRIGGER, 0, 0, NULL, 0, NULL, 0), 0);
	assert_false(config_space_msix_enabled(&config));
	assert_false(pending(4));
	assert_int_equal(irqs.vectors[4].trigger, -1);
	close(fd);
}

static void test_disable_kinds_that_are_absent(void **state)
{
	(void)state;
	assert_int_equal(set(0, NONE | TRIGGER, 0, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(set(1, NONE | TRIGGER, 0, 0, NULL, 0, NULL, 0), 0);
}

static void test_mask_events(void **state)
{
	int trigger = bind_one(IRQ_MSIX, TRIGGER, 2);
	int mask = bind_one(IRQ_MSIX, MASK, 2);
	int unmask = bind_one(IRQ_MSIX, UNMASK, 2);

	(void)state;
	write_control(2, 1);
	write_control(2, 1);
	assert_int_equal(signals(mask), 1);
	assert_int_equal(signals(unmask), 0);
	write_control(2, 0);
	assert_int_equal(signals(unmask), 1);
	/* Unbinding those leaves the trigger. */
	assert_int_equal(set(IRQ_MSIX, EVENTFD | MASK, 2, 1, NULL, 0, NULL, 0), 0);
	write_control(2, 1);
	assert_int_equal(signals(mask), 0);
	write_control(2, 0);
	irqs_raise(&irqs, 2);
	assert_int_equal(signals(trigger), 1);
	close(trigger);
	close(mask);
	close(unmask);
}

static void test_trigger_by_message(void **state)
{
	const uint8_t which[] = { 1, 0 };
	int error = bind_one(IRQ_ERROR, TRIGGER, 0), request = bind_one(IRQ_REQUEST, TRIGGER, 0);
	int vector = bind_one(IRQ_MSIX, TRIGGER, 6), other = bind_one(IRQ_MSIX, TRIGGER, 7);

	(void)state;
	assert_int_equal(set(IRQ_ERROR, NONE | TRIGGER, 0, 1, NULL, 0, NULL, 0), 0);
	assert_int_equal(set(IRQ_REQUEST, BOOL | TRIGGER, 0, 1, which, 1, NULL, 0), 0);
	assert_int_equal(set(IRQ_MSIX, BOOL | TRIGGER, 6, 2, which, 2, NULL, 0), 0);
	assert_int_equal(signals(error), 1);
	assert_int_equal(signals(request), 1);
	assert_int_equal(signals(vector), 1);
	assert_int_equal(signals(other), 0);
	assert_int_equal(set(IRQ_ERROR, NONE | TRIGGER, 0, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(irqs.error.trigger, -1);
	assert_int_not_equal(irqs.request.trigger, -1);
	close(error);
	close(request);
	close(vector);
	close(other);
}

static void test_bad_requests(void **state)
{
	static const struct {
		uint32_t kind, flags, start, count;
		size_t bytes;
		unsigned int nr_fds;
	} rows[] = {
		{ 2, 0, 0, 1, 0, 0 },
		{ 2, NONE, 0, 1, 0, 0 },
		{ 2, TRIGGER, 0, 1, 0, 0 },
		{ 2, NONE | BOOL | TRIGGER, 0, 1, 1, 0 },
		{ 2, NONE | MASK | UNMASK, 0, 1, 0, 0 },
		{ 2, NONE | TRIGGER | 0x40, 0, 1, 0, 0 },
		{ 2, UINT32_MAX, 0, 1, 0, 0 },
		{ 5, NONE | TRIGGER, 0, 0, 0, 0 },
		{ UINT32_MAX, NONE | TRIGGER, 0, 0, 0, 0 },
		{ 2, NONE | TRIGGER, 0, VECTORS + 1, 0, 0 },
		{ 2, NONE | TRIGGER, VECTORS, 1, 0, 0 },
		{ 2, NONE | TRIGGER, UINT32_MAX, 2, 0, 0 },
		{ 2, NONE | TRIGGER, 1, UINT32_MAX, 0, 0 },
		{ 2, NONE | TRIGGER, 1, 0, 0, 0 }, /* disable starts at 0 */
		{ 2, NONE | MASK, 0, 0, 0, 0 },
		{ 2, EVENTFD | TRIGGER, 0, 0, 0, 0 },
		{ 2, BOOL | TRIGGER, 0, 4, 3, 0 }, /* too little data */
		{ 2, EVENTFD | TRIGGER, 0, 2, 0, 1 }, /* too few descriptors */
		{ 2, EVENTFD | TRIGGER, 0, 1, 0, 2 }, /* too many */
		{ 2, NONE | TRIGGER, 0, 1, 0, 1 },
		{ 2, BOOL | TRIGGER, 0, 1, 1, 1 },
		{ 0, EVENTFD | TRIGGER, 0, 1, 0, 1 }, /* there is no INTx */
		{ 3, EVENTFD | TRIGGER, 1, 1, 0, 1 },
		{ 3, NONE | MASK, 0, 1, 0, 0 }, /* cannot be masked */
		{ 4, EVENTFD | UNMASK, 0, 1, 0, 1 },
	};
	const uint8_t data[4] = { 1, 1, 1, 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fds[2] = { new_eventfd(), new_eventfd() };
		const int given[2] = { fds[0], fds[1] };

		assert_int_equal(set(rows[i].kind, rows[i].flags, rows[i].start, rows[i].count,
				     data, rows[i].bytes, fds, rows[i].nr_fds),
				 -EINVAL);
		assert_memory_equal(fds, given, sizeof(fds)); /* none was taken */
		assert_false(config_space_msix_enabled(&config));
		close(fds[0]);
		close(fds[1]);
	}
}

/* A pipe would raise SIGPIPE in the server, or block it. */
static void test_descriptors_that_are_no_eventfds(void **state)
{
	int pipes[2], sockets[2], file = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(set(2, EVENTFD | TRIGGER, 0, 1, NULL, 0, &pipes[1], 1), -EINVAL);
	assert_int_equal(set(2, EVENTFD | TRIGGER, 0, 1, NULL, 0, &sockets[1], 1), -EINVAL);
	assert_int_equal(set(2, EVENTFD | TRIGGER, 0, 1, NULL, 0, &file, 1), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	close(sockets[0]);
	close(sockets[1]);
	close(file);
}

/* A counter that is full, in a descriptor that blocks. */
static void test_full_counter_does_not_block(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), sent = dup(fd);
	eventfd_t value;

	(void)state;
	assert_int_equal(set(2, EVENTFD | TRIGGER, 0, 1, NULL, 0, &sent, 1), 0);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	alarm(10);
	irqs_raise(&irqs, 0);
	alarm(0);
	assert_int_equal(eventfd_read(fd, &value), 0);
	assert_int_equal(value, UINT64_MAX - 1);
	close(fd);
}

static void test_table_masks(void **state)
{
	uint8_t entry[16];

	(void)state;
	memset(entry, 0xff, sizeof(entry));
	irqs_table_write(&irqs, 16, entry, sizeof(entry));
	irqs_table_read(&irqs, 16, entry, sizeof(entry));
	assert_memory_equal(entry,
			    "\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00\x00", 16);
	/* One byte at a time, across two entries. */
	memset(entry, 0, sizeof(entry));
	for (unsigned int i = 0; i < 16; i++)
		irqs_table_write(&irqs, 24 + i, entry + i, 1);
	irqs_table_read(&irqs, 24, entry, 16);
	assert_int_equal(entry[4], 0);
	assert_int_equal(read_control(1), 0);
	assert_int_equal(read_control(2), 1);
}

static void test_pending_bits_of_any_width(void **state)
{
	uint64_t bits;
	uint8_t bytes[3];

	(void)state;
	close(bind_one(IRQ_MSIX, TRIGGER, 0));
	for (unsigned int i = 0; i < VECTORS; i++)
		write_control(i, 1);
	irqs_raise(&irqs, 0);
	irqs_raise(&irqs, 9);
	irqs_raise(&irqs, 19);
	irqs_pending_read(&irqs, 0, &bits, 8);
	assert_int_equal(bits, 1u << 0 | 1u << 9 | 1u << 19);
	irqs_pending_read(&irqs, 1, bytes, 3);
	assert_memory_equal(bytes, "\x02\x08\x00", 3);
	irqs_reset(&irqs);
	irqs_pending_read(&irqs, 0, &bits, 8);
	assert_int_equal(bits, 0);
}

static void test_reset_keeps_bindings(void **state)
{
	int fd = bind_one(IRQ_MSIX, TRIGGER, 0);

	(void)state;
	irqs_reset(&irqs);
	irqs_raise(&irqs, 0);
	assert_int_equal(signals(fd), 1);
	irqs_close(&irqs);
	irqs_raise(&irqs, 0);
	assert_int_equal(signals(fd), 0);
	assert_int_equal(read_control(0), 1);
	close(fd);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bind_and_raise),
		TEST(test_vectors_are_masked_after_power_on),
		TEST(test_vector_mask),
		TEST(test_vector_mask_by_message),
		TEST(test_function_mask),
		TEST(test_enable_bit),
		TEST(test_rebind_and_unbind),
		TEST(test_disable),
		TEST(test_disable_kinds_that_are_absent),
		TEST(test_mask_events),
		TEST(test_trigger_by_message),
		TEST(test_bad_requests),
		TEST(test_descriptors_that_are_no_eventfds),
		TEST(test_full_counter_does_not_block),
		TEST(test_table_masks),
		TEST(test_pending_bits_of_any_width),
		TEST(test_reset_keeps_bindings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
