/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts and reset ("VFIO_USER_DEVICE_SET_IRQS", "VFIO_USER_DEVICE_RESET"). */
#include <unistd.h>

#include "device/vfio_user/client.h"

/* MSI-X message control (PCI 3.0 §6.8.2.3). */
#define MSIX_CONTROL 2
#define MSIX_FUNCTION_MASK 0x4000
#define MSIX_ENABLE 0x8000

static int command(struct vfio_user_client *client, struct vfio_user_call *call,
		   struct weir_error *err)
{
	int ret = client_call(client, call, err);

	if (call->reply_fd >= 0)
		close(call->reply_fd);
	return ret;
}

static int set_irqs(struct vfio_user_client *client, unsigned int kind, unsigned int first,
		    unsigned int count, uint32_t data, const int *fds, unsigned int nr_fds,
		    struct weir_error *err)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_USER_IRQ_ACTION_TRIGGER | data,
		.index = kind,
		.start = first,
		.count = count,
	};
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_SET_IRQS,
		.parts = { { &set, sizeof(set) } },
		.nr_parts = 1,
		.fds = fds,
		.nr_fds = nr_fds,
	};

	return command(client, &call, err);
}

/* In a kernel's VFIO binding enables MSI-X; here it is ours to do. */
static int enable_msix(struct weir_device *dev, bool enable, struct weir_error *err)
{
	if (!dev->msix.capability)
		return 0;
	return config_update16(dev, dev->msix.capability + MSIX_CONTROL,
			       MSIX_FUNCTION_MASK | MSIX_ENABLE, enable ? MSIX_ENABLE : 0, err);
}

/* How many of the first interrupts are alike, bound or not, and fit into one message. */
static unsigned int run_length(const struct vfio_user_client *client, const int *eventfds,
			       unsigned int count)
{
	bool bound = eventfds[0] >= 0;
	unsigned int run = 1;

	while (run < count && (eventfds[run] >= 0) == bound && (!bound || run < client->max_fds))
		run++;
	return run;
}

int client_bind_irqs(struct weir_device *dev, unsigned int kind, unsigned int first,
		     unsigned int count, const int *eventfds, struct weir_error *err)
{
	struct vfio_user_client *client = dev->link;
	int ret;

	while (count) {
		unsigned int run = run_length(client, eventfds, count);

		/* No descriptors take the binding back. */
		ret = set_irqs(client, kind, first, run, VFIO_USER_IRQ_DATA_EVENTFD, eventfds,
			       eventfds[0] >= 0 ? run : 0, err);
		if (ret)
			return ret;
		first += run;
		count -= run;
		eventfds += run;
	}
	if (kind != WEIR_IRQ_MSIX)
		return 0;
	client->msix_bound = true;
	return enable_msix(dev, true, err);
}

int client_unbind_irqs(struct weir_device *dev, unsigned int kind, struct weir_error *err)
{
	struct vfio_user_client *client = dev->link;
	int ret = set_irqs(client, kind, 0, 0, VFIO_USER_IRQ_DATA_NONE, NULL, 0, err);

	if (ret || kind != WEIR_IRQ_MSIX)
		return ret;
	client->msix_bound = false;
	return enable_msix(dev, false, err);
}

int client_reset(struct weir_device *dev, struct weir_error *err)
{
	struct vfio_user_client *client = dev->link;
	struct vfio_user_call call = { .command = VFIO_USER_DEVICE_RESET };
	int ret = command(client, &call, err);

	/* The server keeps the eventfds; the enable bit is a register like any other. */
	if (ret || !client->msix_bound)
		return ret;
	return enable_msix(dev, true, err);
}
