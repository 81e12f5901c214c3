/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts behind VFIO, with the test as the kernel: kernels that set up no more vectors than at
 * first, kernels that mask, kernels that do not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/vfio/vfio.h"
#include "fd_count.h"

#define VECTORS 8
#define MAX_CALLS 8
#define CONFIG_BYTES 256

struct call {
	uint32_t flags, index, start, count;
	bool bound[VECTORS]; /* by place in the call */
};

static struct {
	struct call calls[MAX_CALLS];
	unsigned int nr;
	int refuse; /* the call with this number, from 1 on */
} kernel;

int __wrap_ioctl(int fd, unsigned long request, void *data);

int __wrap_ioctl(int fd, unsigned long request, void *data)
{
	const struct uapi_vfio_irq_set *set = data;
	struct call *call = &kernel.calls[kernel.nr++];

	(void)fd;
	assert_int_equal(request, UAPI_VFIO_DEVICE_SET_IRQS);
	assert_true(kernel.nr <= MAX_CALLS);
	*call = (struct call){ set->flags, set->index, set->start, set->count, { 0 } };
	if (set->flags & UAPI_VFIO_IRQ_DATA_EVENTFD) {
		assert_true(set->count <= VECTORS);
		assert_int_equal(set->argsz, sizeof(*set) + set->count * sizeof(int32_t));
		for (uint32_t i = 0; i < set->count; i++) {
			int32_t eventfd;

			memcpy(&eventfd, set->data + i * sizeof(eventfd), sizeof(eventfd));
			call->bound[i] = eventfd >= 0;
		}
	}
	if ((int)kernel.nr != kernel.refuse)
		return 0;
	errno = ENOSPC;
	return -1;
}

struct fixture {
	struct weir_device *dev;
	struct vfio_device vdev;
	int fds[VECTORS];
	unsigned int descriptors;
};

/* Configuration space is a file; its words tell whether the device is there. */
static void set_config(struct fixture *f, uint8_t byte)
{
	uint8_t config[CONFIG_BYTES];

	memset(config, byte, sizeof(config));
	assert_int_equal(pwrite(f->vdev.fd, config, sizeof(config), 0), sizeof(config));
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->descriptors = fd_count();
	memset(&kernel, 0, sizeof(kernel));
	f->dev = calloc(1, sizeof(*f->dev));
	f->dev->address = strdup("0000:00:00.0");
	f->dev->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	f->dev->link = &f->vdev;
	f->dev->irq_counts[WEIR_IRQ_INTX] = 1;
	f->dev->irq_counts[WEIR_IRQ_MSIX] = VECTORS;
	f->vdev.dev = f->dev;
	f->vdev.fd = memfd_create("config", MFD_CLOEXEC);
	set_config(f, 0x01);
	pthread_mutex_init(&f->vdev.irq_lock, NULL);
	for (int i = 0; i < VECTORS; i++)
		f->fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	*state = f;
	return vfio_vectors_init(&f->vdev);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	bool same;

	vfio_vectors_free(&f->vdev);
	pthread_mutex_destroy(&f->vdev.irq_lock);
	for (int i = 0; i < VECTORS; i++)
		close(f->fds[i]);
	close(f->vdev.fd);
	close(f->dev->kick_fd);
	free(f->dev->address);
	free(f->dev);
	same = fd_count() == f->descriptors;
	free(f);
	return same ? 0 : -1;
}

static int bind_msix(struct fixture *f, unsigned int first, unsigned int count)
{
	return vfio_bind_irqs(f->dev, WEIR_IRQ_MSIX, first, count, f->fds + first, NULL);
}

static void expect_call(unsigned int nr, uint32_t flags, uint32_t start, const char *bound)
{
	const struct call *call = &kernel.calls[nr];

	assert_true(nr < kernel.nr);
	assert_int_equal(call->index, WEIR_IRQ_MSIX);
	assert_int_equal(call->flags, flags);
	assert_int_equal(call->start, start);
	assert_int_equal(call->count, strlen(bound));
	for (size_t i = 0; bound[i]; i++)
		assert_int_equal(call->bound[i], bound[i] == '1');
}

#define BIND (UAPI_VFIO_IRQ_ACTION_TRIGGER | UAPI_VFIO_IRQ_DATA_EVENTFD)
#define DISABLE (UAPI_VFIO_IRQ_ACTION_TRIGGER | UAPI_VFIO_IRQ_DATA_NONE)

static bool woken(int fd)
{
	uint64_t value;

	return read(fd, &value, sizeof(value)) == sizeof(value);
}

/* What is there goes down and comes back with the rest; its owners are told to look. */
static void test_grow(void **state)
{
	struct fixture *f = *state;

	f->vdev.irq_flags[WEIR_IRQ_MSIX] = UAPI_VFIO_IRQ_NORESIZE;
	assert_int_equal(bind_msix(f, 0, 2), 0);
	assert_int_equal(bind_msix(f, 3, 2), 0);
	assert_int_equal(kernel.nr, 3);
	expect_call(0, BIND, 0, "11");
	expect_call(1, DISABLE, 0, "");
	expect_call(2, BIND, 0, "11011");
	assert_true(woken(f->fds[0]) && woken(f->fds[1]));
	/* Within what is there nothing goes down. */
	assert_int_equal(bind_msix(f, 2, 1), 0);
	expect_call(3, BIND, 2, "1");
	assert_false(woken(f->fds[0]));
}

static void test_grow_refused(void **state)
{
	struct fixture *f = *state;

	f->vdev.irq_flags[WEIR_IRQ_MSIX] = UAPI_VFIO_IRQ_NORESIZE;
	assert_int_equal(bind_msix(f, 0, 2), 0);
	kernel.refuse = 3;
	assert_int_equal(bind_msix(f, 2, 6), -EIO);
	assert_int_equal(kernel.nr, 4);
	expect_call(3, BIND, 0, "11");
	/* The others are not bound. */
	assert_int_equal(bind_msix(f, 2, 1), 0);
	expect_call(5, BIND, 0, "111");
}

static void test_resize(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bind_msix(f, 0, 2), 0);
	assert_int_equal(bind_msix(f, 5, 2), 0);
	assert_int_equal(kernel.nr, 2);
	expect_call(1, BIND, 5, "11");
	assert_false(woken(f->fds[0]));
}

/* A vector that the kernel cannot mask is unbound while it is masked. */
static void test_mask_by_unbinding(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 1, true), 0);
	assert_int_equal(kernel.nr, 0);
	assert_int_equal(bind_msix(f, 0, 3), 0);
	expect_call(0, BIND, 0, "101");
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 1, true), 0);
	assert_int_equal(kernel.nr, 1);
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 1, false), 0);
	expect_call(1, BIND, 1, "1");
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 2, true), 0);
	expect_call(2, BIND, 2, "0");
	/* What the kernel refuses did not happen. */
	kernel.refuse = 4;
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 2, false), -EIO);
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 2, false), 0);
	expect_call(4, BIND, 2, "1");
	/* Unbinding forgets masks. */
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 0, true), 0);
	assert_int_equal(vfio_unbind_irqs(f->dev, WEIR_IRQ_MSIX, NULL), 0);
	assert_int_equal(bind_msix(f, 0, 1), 0);
	expect_call(7, BIND, 0, "1");
}

static void test_mask_by_kernel(void **state)
{
	struct fixture *f = *state;

	f->vdev.irq_flags[WEIR_IRQ_MSIX] = UAPI_VFIO_IRQ_MASKABLE;
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 3, true), 0);
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_MSIX, 3, false), 0);
	assert_int_equal(kernel.calls[0].flags,
			 UAPI_VFIO_IRQ_ACTION_MASK | UAPI_VFIO_IRQ_DATA_NONE);
	assert_int_equal(kernel.calls[0].start, 3);
	assert_int_equal(kernel.calls[0].count, 1);
	assert_int_equal(kernel.calls[1].flags,
			 UAPI_VFIO_IRQ_ACTION_UNMASK | UAPI_VFIO_IRQ_DATA_NONE);
	assert_int_equal(vfio_mask_irq(f->dev, WEIR_IRQ_INTX, 0, true), -EOPNOTSUPP);
	assert_int_equal(kernel.nr, 2);
}

static void test_unbind(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(vfio_unbind_irqs(f->dev, WEIR_IRQ_MSIX, NULL), 0);
	assert_int_equal(kernel.nr, 0);
	assert_int_equal(bind_msix(f, 0, 2), 0);
	assert_int_equal(vfio_unbind_irqs(f->dev, WEIR_IRQ_MSIX, NULL), 0);
	expect_call(1, DISABLE, 0, "");
	assert_int_equal(vfio_unbind_irqs(f->dev, WEIR_IRQ_MSIX, NULL), 0);
	assert_int_equal(kernel.nr, 2);
}

static void test_bad_descriptor(void **state)
{
	struct fixture *f = *state;
	const int fds[] = { f->fds[0], 100000 };

	assert_int_equal(vfio_bind_irqs(f->dev, WEIR_IRQ_MSIX, 0, 2, fds, NULL), -EIO);
	assert_int_equal(kernel.nr, 0);
}

/* A failed call is looked into: a device that is gone fails everything. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct weir_error err;

	kernel.refuse = 1;
	set_config(f, 0xff);
	assert_int_equal(vfio_bind_irqs(f->dev, WEIR_IRQ_MSIX, 0, 1, f->fds, &err), -ENODEV);
	assert_true(device_is_gone(f->dev));
	assert_non_null(strstr(err.text, "gone"));
	assert_true(woken(f->dev->kick_fd));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_grow),	   TEST(test_grow_refused),
		TEST(test_resize),	   TEST(test_mask_by_unbinding),
		TEST(test_mask_by_kernel), TEST(test_unbind),
		TEST(test_bad_descriptor), TEST(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
