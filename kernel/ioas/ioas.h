/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O address spaces: the engine behind type 1 and /dev/iommu.
 *
 * An address space (ioas) is a set of areas that do not overlap. An area puts a source at an IOVA:
 * memory of a process, or a part of a BAR. IOMMU groups are attached to it, and reach every area;
 * each is behind an IOMMU domain, which groups share when their IOMMUs are of one kind. With the
 * first domain pages are pinned and charged to the process that mapped them; with the last one gone
 * they are given back. A part of a BAR is mapped for as long as its device allows it (core/bar.h),
 * is not charged, and stays an area when it is not accessible.
 *
 * Threads: all functions may be called by any number of threads at the same time, but
 * weir_ioas_destroy(), which must be alone and the last. They sleep.
 *
 * Locks: the engine has [4] to [7] and [12] of kernel/README.md. Callers hold none of [4] to [13].
 * type 1 holds the container's [2], and for attaching perhaps [1].
 *
 * Errors are negative errno, the ones that 7.2's type 1 gives. Where /dev/iommu gives another one,
 * its door translates.
 */
#ifndef WEIR_IOAS_IOAS_H
#define WEIR_IOAS_IOAS_H

#include <linux/bits.h>
#include <linux/types.h>

struct iommu_group;
struct weir_ioas;

struct weir_ioas_options {
	/* Areas there can be at most. */
	unsigned int entry_limit;
	/* Every page is an IOMMU entry of its own. */
	bool no_huge_pages;
};

/* An empty address space, with no group attached. An ERR_PTR: -ENOMEM. options is not kept. */
struct weir_ioas *weir_ioas_create(const struct weir_ioas_options *options);

/* Ends it with all its areas; pages are unpinned and uncharged. Every group is detached. */
void weir_ioas_destroy(struct weir_ioas *ioas);

/* What an attachment failed for, to be told to the administrator. */
enum weir_ioas_cause {
	/* Memory is short, or the IOMMU's driver said no. */
	WEIR_IOAS_CAUSE_OTHER,
	/* -EPERM: devices of the group could raise interrupts of others. */
	WEIR_IOAS_CAUSE_INTERRUPTS,
	/* -EINVAL: an area lies where the group's devices cannot reach. */
	WEIR_IOAS_CAUSE_APERTURE,
	/* -EINVAL: an area lies in a range that is reserved for the group's devices. */
	WEIR_IOAS_CAUSE_RESERVED,
	/* -EINVAL: an area begins or ends within an IOMMU page. */
	WEIR_IOAS_CAUSE_PAGE_SIZE,
};

struct weir_ioas_conflict {
	enum weir_ioas_cause cause;
	/* The area in the way, of the last three causes. */
	u64 start, last;
};

struct weir_ioas_attach_options {
	/* Do not ask for isolated interrupts. */
	bool allow_unsafe_interrupts;
};

/*
 * weir_ioas_attach_group - every area is reachable for the group's devices when this returns 0.
 *
 * The caller owns the group's DMA (iommu_group_claim_dma_owner()), until after
 * weir_ioas_detach_group(). On failure nothing has changed, and *conflict says why. A group that is
 * attached already: -EBUSY. Pins what is not pinned: -ENOMEM when a process's locked memory would
 * pass its limit, -EFAULT when its memory has gone.
 *
 * A fresh domain is made to enforce cache coherency, when it can, before anything is mapped.
 */
int weir_ioas_attach_group(struct weir_ioas *ioas, struct iommu_group *group,
			   const struct weir_ioas_attach_options *options,
			   struct weir_ioas_conflict *conflict);

/* The group's devices reach nothing when this returns. The group is attached. Cannot fail. */
void weir_ioas_detach_group(struct weir_ioas *ioas, struct iommu_group *group);

/* What devices may do to an area. */
#define WEIR_IOAS_READ BIT(0)
#define WEIR_IOAS_WRITE BIT(1)

/*
 * For weir_ioas_map_user(): a mapping of one of our devices' BARs is taken as a part of that BAR.
 * Without it, and for mappings of other BARs, -EFAULT.
 */
#define WEIR_IOAS_MAP_BARS BIT(2)

/*
 * weir_ioas_map_user - puts memory of the calling process at iova.
 *
 * flags: READ, WRITE or both, and perhaps MAP_BARS. Checked in this order:
 *   -EINVAL     length is 0
 *   -EOVERFLOW  iova + length - 1 or address + length - 1 wraps
 *   -EINVAL     no protection, or a value is not a multiple of the IOMMU's page size
 *   -EEXIST     it overlaps an area
 *   -ENOSPC     the limit of areas
 *   -EINVAL     not within weir_ioas_ranges()
 *   -ENOMEM     the process may not lock that much memory
 *   -EFAULT     nothing, or nothing that can be pinned with these rights, is at address
 * and whenever it may be, -ENOMEM: memory is short; -EINTR: the process is being killed.
 *
 * The process that is charged is the caller, also when pages are pinned later, and it is the one
 * that is uncharged. With MAP_BARS a range is all of one BAR's mapping or all memory, else -EFAULT.
 */
int weir_ioas_map_user(struct weir_ioas *ioas, u64 iova, u64 length, unsigned long address,
		       unsigned int flags);

/* Which areas an unmapping takes. */
enum weir_ioas_unmap_rule {
	/*
	 * Type 1, first version: every area that begins in the range, whole, also when it ends
	 * beyond. A range that begins within an area takes nothing, and that is no error.
	 */
	WEIR_IOAS_UNMAP_V1,
	/*
	 * Type 1, second version: every area in the range; -EINVAL, and nothing, if an end cuts
	 * one.
	 */
	WEIR_IOAS_UNMAP_V2,
	/* All of them; the range is not looked at. */
	WEIR_IOAS_UNMAP_ALL,
};

/*
 * weir_ioas_unmap - takes areas out. Devices reach them no more, and their pages are unpinned, when
 * this returns. *unmapped is the sum of the areas' lengths, 0 if there was none, which is no error.
 * It waits for who maps or unmaps one of them at the moment.
 *
 * Checked in this order:
 *   -EINVAL     length is 0, or one of both is not a multiple of the IOMMU's page size
 *   -EOVERFLOW  iova + length - 1 wraps
 *   -EINVAL     as the rule says
 * and -EINTR: the process is being killed, and nothing was done.
 */
int weir_ioas_unmap(struct weir_ioas *ioas, u64 iova, u64 length, enum weir_ioas_unmap_rule rule,
		    u64 *unmapped);

/* Both ends belong to it. */
struct weir_ioas_range {
	u64 start, last;
};

/*
 * weir_ioas_ranges - where areas can be: what every attached domain reaches, without what is
 * reserved for any attached device. In rising order. The caller owns *ranges and kfree()s it.
 * -ENOMEM.
 */
int weir_ioas_ranges(struct weir_ioas *ioas, struct weir_ioas_range **ranges, unsigned int *count);

/*
 * Sizes of IOMMU pages that every attached domain has, one bit each. Those below the processor's
 * page are given as that.
 */
u64 weir_ioas_page_sizes(struct weir_ioas *ioas);

/* Areas that can be added. */
unsigned int weir_ioas_entries_left(struct weir_ioas *ioas);

/* Whether there is a domain and each enforces cache coherency, whatever its devices ask for. */
bool weir_ioas_enforces_coherency(struct weir_ioas *ioas);

#endif
