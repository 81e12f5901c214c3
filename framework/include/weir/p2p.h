/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file p2p.h
 * Peer-to-peer: memory of one device made reachable for another.
 *
 * Export part of a BAR with weir_dmabuf_export(), map it into the IOAS of the other device with
 * weir_ioas_map_dmabuf(), and give the other device the IOVA: the data moves between the two and
 * not through host memory.
 */
#ifndef WEIR_P2P_H
#define WEIR_P2P_H

#include <stdint.h>
#include <weir/device.h>
#include <weir/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Part of a BAR, in bytes; both a multiple of 4 KiB. */
struct weir_range {
	uint64_t offset; /**< from the start of the BAR */
	uint64_t bytes; /**< not 0 */
};

/** Exported device memory. */
struct weir_dmabuf {
	/** Owned by the caller; close() it. Mappings made of it hold their own duplicate. Over
	 * "cdev" it is a dma-buf of the kernel. Over "group" it is the device's own descriptor:
	 * whoever is given it can drive the device, and the device is not given back before it and
	 * the mappings made of it are gone. */
	int fd;
	/** Must be zero. */
	uint32_t reserved;
	/** Where the memory begins in `fd`: 0 for a kernel dma-buf; the BAR's place in the server's
	 * file over vfio-user, in the device's descriptor over "group". */
	uint64_t offset;
	/** Bytes, the sum of the ranges. */
	uint64_t bytes;
};

/**
 * Exports part of a BAR as a file descriptor.
 *
 * What can be mapped where: an export over "group" into an IOAS whose devices are behind "group",
 * on every kernel; one over "cdev" into an IOAS whose devices are behind "cdev", on kernels that
 * export dma-bufs; one over vfio-user everywhere. weir_ioas_map_dmabuf() says so
 * otherwise.
 *
 * @param ranges  what to export, in this order, back to back
 * @param nr      how many; over vfio-user and "group" one
 * @param[out] dmabuf  filled in
 * @retval -EINVAL nr is 0, or a range is empty, unaligned or past the end of the BAR; the text
 * names both
 * @retval -EOPNOTSUPP the transport cannot export it (a BAR that the server does not share, more
 * ranges than one, a kernel that does not export dma-bufs); the text says why
 * @retval -ENODEV the device is gone, or the BAR is absent
 * @retval -EMFILE no file descriptor left
 */
int weir_dmabuf_export(struct weir_device *dev, unsigned int bar, const struct weir_range *ranges,
		       unsigned int nr, struct weir_dmabuf *dmabuf, struct weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
