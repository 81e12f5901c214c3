/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file mmio.h
 * Access to device registers and the ordering of memory that a device shares, for x86-64 and arm64.
 *
 * The accessors perform exactly one access of the named width. They do not order anything by
 * themselves; the barriers below do, and each use says what it orders.
 */
#ifndef WEIR_MMIO_H
#define WEIR_MMIO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Reads a 32-bit little-endian register. `reg` is 4-byte aligned and mapped. */
static inline uint32_t weir_mmio_read32(const volatile void *reg)
{
	return *(const volatile uint32_t *)reg;
}

/** Reads a 64-bit little-endian register in one access. `reg` is 8-byte aligned and mapped. */
static inline uint64_t weir_mmio_read64(const volatile void *reg)
{
	return *(const volatile uint64_t *)reg;
}

/** Writes a 32-bit little-endian register. `reg` is 4-byte aligned and mapped. */
static inline void weir_mmio_write32(volatile void *reg, uint32_t value)
{
	*(volatile uint32_t *)reg = value;
}

/** Writes a 64-bit little-endian register in one access. `reg` is 8-byte aligned and mapped. */
static inline void weir_mmio_write64(volatile void *reg, uint64_t value)
{
	*(volatile uint64_t *)reg = value;
}

/**
 * Orders a load of a flag that a device wrote (a phase bit) before the loads of the data that the
 * flag announces. A compiler barrier on x86, whose loads are ordered.
 */
static inline void weir_dma_rmb(void)
{
#if defined(__x86_64__)
	__asm__ volatile("" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("dmb oshld" ::: "memory");
#else
#error "weir_dma_rmb is not known for this architecture"
#endif
}

/**
 * Orders stores to memory that a device reads (queue entries) before a following store that
 * announces them (a doorbell in MMIO or in shared memory). A compiler barrier on x86, whose stores
 * are ordered.
 */
static inline void weir_dma_wmb(void)
{
#if defined(__x86_64__)
	__asm__ volatile("" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("dmb oshst" ::: "memory");
#else
#error "weir_dma_wmb is not known for this architecture"
#endif
}

/**
 * Orders all earlier stores before all later loads. Needed where a store must be seen by the other
 * side before its answer is looked at, as with shadow doorbells (NVMe 2.0, Doorbell Buffer Config
 * command) or when arming an interrupt.
 */
static inline void weir_dma_mb(void)
{
#if defined(__x86_64__)
	__asm__ volatile("lock; addl $0, -4(%%rsp)" ::: "memory", "cc");
#elif defined(__aarch64__)
	__asm__ volatile("dmb osh" ::: "memory");
#else
#error "weir_dma_mb is not known for this architecture"
#endif
}

/**
 * Asks for the cache line at `line` with the right to write it, ahead of stores to it. Worth it for
 * memory that another core reads, such as queue entries of an emulated device: the line comes while
 * other work is done. A hint: any address is allowed, nothing faults. (__builtin_prefetch() asks
 * for a line to read on x86-64 unless told of a newer core.)
 */
static inline void weir_prefetch_write(const volatile void *line)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(const volatile char *)line));
#elif defined(__aarch64__)
	__asm__ volatile("prfm pstl1keep, %0" : : "Q"(*(const volatile char *)line));
#endif
}

/** Tells the core that it is in a polling loop. */
static inline void weir_cpu_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause");
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

#ifdef __cplusplus
}
#endif

#endif
