/* SPDX-License-Identifier: BSD-3-Clause */
/* The end of a device: who notices it says why, everybody else gets -ENODEV. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device/device.h"

void device_kick(struct weir_device *dev)
{
	const uint64_t one = 1;

	/* It fails only when the counter is full, and then the descriptor is readable anyway. */
	if (write(dev->kick_fd, &one, sizeof(one)) < 0)
		return;
}

void device_lost(struct weir_device *dev, int error, const char *format, ...)
{
	char text[WEIR_ERROR_TEXT];
	int none = 0;
	va_list args;

	if (!atomic_compare_exchange_strong(&dev->gone_error, &none, error))
		return;
	atomic_store_explicit(&dev->gone, 1, memory_order_release);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	weir_log_write(&dev->log, WEIR_LOG_ERROR, "%s is gone: %s", dev->address, text);
	device_kick(dev);
}

int device_gone_error(const struct weir_device *dev, struct weir_error *err)
{
	int why = atomic_load(&dev->gone_error);

	return weir_error_set(err, -ENODEV, "%s is gone%s%s", dev->address, why ? ": " : "",
			      why ? strerror(-why) : "");
}

WEIR_EXPORT int weir_device_gone(const struct weir_device *dev)
{
	return device_is_gone(dev);
}
