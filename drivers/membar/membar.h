/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file membar.h
 * A device that is plain memory behind a BAR: the stand-in for a GPU in peer-to-peer transfers.
 * `weir sim membar` serves one; under QEMU, ivshmem is one.
 */
#ifndef WEIR_MEMBAR_H
#define WEIR_MEMBAR_H

#include <stdint.h>
#include <weir/device.h>
#include <weir/error.h>
#include <weir/p2p.h>

#ifdef __cplusplus
extern "C" {
#endif

/** PCI ids of the device that `weir sim membar` serves; its memory is BAR 2. */
#define WEIR_MEMBAR_VENDOR 0x1b36
#define WEIR_MEMBAR_DEVICE 0x57e1
/** PCI ids of QEMU's ivshmem-plain, whose memory is BAR 2 too. */
#define WEIR_MEMBAR_IVSHMEM_VENDOR 0x1af4
#define WEIR_MEMBAR_IVSHMEM_DEVICE 0x1110

/**
 * Finds the memory of a device of this kind.
 *
 * @param[out] bar    the BAR it lies in
 * @param[out] bytes  how large
 * @retval -EINVAL not such a device; the text names its ids
 */
int weir_membar_find(const struct weir_device *dev, unsigned int *bar, uint64_t *bytes,
		     struct weir_error *err);

/**
 * Exports [offset, offset + bytes) of the memory. Errors as weir_dmabuf_export() and
 * weir_membar_find().
 */
int weir_membar_export(struct weir_device *dev, uint64_t offset, uint64_t bytes,
		       struct weir_dmabuf *dmabuf, struct weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
