/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts: binding to eventfds, and the mask bits of the MSI-X table. */
#include <fcntl.h>

#include "device/transport.h"

/* PCI 3.0 §6.8.2: an entry is 16 bytes, its last word the vector control. */
#define MSIX_ENTRY_BYTES 16u
#define MSIX_VECTOR_CONTROL 12u
#define MSIX_VECTOR_MASKED 0x1u

WEIR_EXPORT unsigned int weir_irq_count(const struct weir_device *dev, enum weir_irq kind)
{
	return (unsigned int)kind < dev->nr_irqs ? dev->irq_counts[kind] : 0;
}

static int check_kind(const struct weir_device *dev, enum weir_irq kind, struct weir_error *err)
{
	if (kind == WEIR_IRQ_ERROR || kind == WEIR_IRQ_REQUEST)
		return weir_error_set(err, -EINVAL,
				      "%s: interrupt kind %u is reported by weir_device_events()",
				      dev->address, kind);
	if (device_is_gone(dev))
		return device_gone_error(dev, err);
	return 0;
}

static void note_bound(struct weir_device *dev, enum weir_irq kind, bool bound)
{
	if (kind != WEIR_IRQ_INTX)
		return;
	pthread_mutex_lock(&dev->config_lock);
	dev->intx_bound = bound;
	pthread_mutex_unlock(&dev->config_lock);
}

WEIR_EXPORT int weir_irq_bind(struct weir_device *dev, enum weir_irq kind, unsigned int first,
			      unsigned int count, const int *eventfds, struct weir_error *err)
{
	unsigned int limit = weir_irq_count(dev, kind);
	int ret;

	if (!count || !weir_range_within(first, count, limit))
		return weir_error_set(err, -EINVAL,
				      "%s: %u interrupts from %u on are out of its %u of kind %u",
				      dev->address, count, first, limit, kind);
	for (unsigned int i = 0; i < count; i++) {
		if (eventfds[i] != -1 && fcntl(eventfds[i], F_GETFD) < 0)
			return weir_error_set(err, -EBADF,
					      "%s: descriptor %d for interrupt %u is not open",
					      dev->address, eventfds[i], first + i);
	}
	ret = check_kind(dev, kind, err);
	if (!ret)
		ret = dev->transport->bind_irqs(dev, kind, first, count, eventfds, err);
	if (!ret)
		note_bound(dev, kind, true);
	return ret;
}

WEIR_EXPORT int weir_irq_unbind(struct weir_device *dev, enum weir_irq kind, struct weir_error *err)
{
	int ret;

	if (!weir_irq_count(dev, kind))
		return weir_error_set(err, -EINVAL, "%s has no interrupts of kind %u", dev->address,
				      kind);
	ret = check_kind(dev, kind, err);
	if (!ret)
		ret = dev->transport->unbind_irqs(dev, kind, err);
	if (!ret)
		note_bound(dev, kind, false);
	return ret;
}

/* The other bits of a vector's control word are reserved and kept as they are. */
static int set_table_mask(struct weir_device *dev, uint64_t at, bool masked)
{
	uint32_t old, new;
	int ret = weir_device_read32(dev, dev->msix.bar, at, &old);

	if (ret)
		return ret;
	new = masked ? old | MSIX_VECTOR_MASKED : old & ~MSIX_VECTOR_MASKED;
	return new == old ? 0 : weir_device_write32(dev, dev->msix.bar, at, new);
}

static int set_msix_mask(struct weir_device *dev, unsigned int vector, bool masked)
{
	const struct device_msix *msix = &dev->msix;
	uint64_t at = msix->offset + (uint64_t)vector * MSIX_ENTRY_BYTES + MSIX_VECTOR_CONTROL;

	if (!msix->nr_vectors)
		return -EOPNOTSUPP;
	if (vector >= msix->nr_vectors)
		return -EINVAL;
	if (!dev->transport->mask_irq || weir_device_bar(dev, msix->bar, at, sizeof(uint32_t)))
		return set_table_mask(dev, at, masked);
	if (device_is_gone(dev))
		return -ENODEV;
	return dev->transport->mask_irq(dev, WEIR_IRQ_MSIX, vector, masked);
}

static int set_intx_mask(struct weir_device *dev, unsigned int vector, bool masked)
{
	if (!dev->transport->mask_irq)
		return -EOPNOTSUPP;
	if (vector)
		return -EINVAL;
	if (device_is_gone(dev))
		return -ENODEV;
	return dev->transport->mask_irq(dev, WEIR_IRQ_INTX, 0, masked);
}

static int set_mask(struct weir_device *dev, unsigned int vector, bool masked)
{
	int ret;

	pthread_mutex_lock(&dev->config_lock);
	ret = dev->intx_bound ? set_intx_mask(dev, vector, masked)
			      : set_msix_mask(dev, vector, masked);
	pthread_mutex_unlock(&dev->config_lock);
	return ret;
}

WEIR_EXPORT int weir_irq_arm(struct weir_device *dev, unsigned int vector)
{
	return set_mask(dev, vector, false);
}

WEIR_EXPORT int weir_irq_disarm(struct weir_device *dev, unsigned int vector)
{
	return set_mask(dev, vector, true);
}
