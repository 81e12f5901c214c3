/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O address spaces: the engine behind type 1 and /dev/iommu.
 *
 * An address space (ioas) is a set of areas that do not overlap. An area puts a source, or a part
 * of one, at an IOVA: memory of a process, a file of memory, or a part of a BAR. IOMMU groups are
 * attached to it, and reach every area; each is behind an IOMMU domain, which groups share when
 * their IOMMUs are of one kind. With the first domain pages are pinned and charged to the process
 * that mapped them; with the last one gone they are given back. A part of a BAR is mapped for as
 * long as its device allows it (core/bar.h), is not charged, and stays an area when it is not
 * accessible.
 *
 * Areas can be copied, also into another address space: both then map the same source, whose pages
 * are pinned and charged once.
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

struct file;
struct iommu_group;
struct mutex;
struct weir_domain;
struct weir_ioas;

/* Who is charged for pinned pages, and by which count the limit RLIMIT_MEMLOCK holds. */
enum weir_ioas_accounting {
	/* Type 1's: the process, by what it has locked. */
	WEIR_IOAS_CHARGE_LOCKED,
	/*
	 * Those of /dev/iommu: the user, by what all their processes have locked by this, or the
	 * process, by what it has locked; nobody who may lock as much as they like. What the
	 * process has pinned is counted in any case.
	 */
	WEIR_IOAS_CHARGE_USER,
	WEIR_IOAS_CHARGE_PROCESS,
};

struct weir_ioas_options {
	/* Areas there can be at most. */
	unsigned int entry_limit;
	/* Every page is an IOMMU entry of its own. */
	bool no_huge_pages;
	/* As long as there is no domain, and huge pages, areas begin and end anywhere. */
	bool any_alignment;
	enum weir_ioas_accounting accounting;
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
	/* -EINVAL: a range that weir_ioas_allow() is to keep would not be possible. */
	WEIR_IOAS_CAUSE_ALLOWED,
};

struct weir_ioas_conflict {
	enum weir_ioas_cause cause;
	/* The area in the way, or the range, of the last four causes. */
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

/*
 * For a group that is to be attached elsewhere, perhaps to another domain of this address space,
 * and comes back when that fails. Suspended, its devices reach nothing, but its domain stays, with
 * every area mapped, and what its devices cannot reach stays impossible.
 *
 * weir_ioas_suspend_group - The group is attached. Cannot fail.
 * weir_ioas_resume_group - It is attached again. -ENOMEM, or what the IOMMU's driver says: it is
 * suspended still.
 * weir_ioas_forget_group - It is as if it had been detached. Cannot fail.
 */
void weir_ioas_suspend_group(struct weir_ioas *ioas, struct iommu_group *group);
int weir_ioas_resume_group(struct weir_ioas *ioas, struct iommu_group *group);
void weir_ioas_forget_group(struct weir_ioas *ioas, struct iommu_group *group);

/*
 * Domains by name, for who shows them to user space. A holder of a domain keeps it in the address
 * space, with every area mapped, also when no group is attached by it.
 */

/*
 * weir_ioas_attach_domain - as weir_ioas_attach_group(), but interrupts are the caller's business.
 *
 * *domain is the one that is to be had, or NULL for any; then it is the one that was found, which
 * other groups may be given, too. The caller becomes a holder of it once more.
 */
int weir_ioas_attach_domain(struct weir_ioas *ioas, struct iommu_group *group,
			    struct weir_domain **domain, struct weir_ioas_conflict *conflict);

/*
 * weir_ioas_domain_create - a domain for groups that are attached by its name only. The caller is
 * its holder. like is the domain that the group is attached by, in any address space; NULL if it is
 * attached to none, and it must then be attached nowhere. An ERR_PTR, as for attaching.
 */
struct weir_domain *weir_ioas_domain_create(struct weir_ioas *ioas, struct iommu_group *group,
					    const struct weir_domain *like,
					    struct weir_ioas_conflict *conflict);

/* Ends the holding of a domain of this address space. With the last group or holder it goes. */
void weir_ioas_domain_put(struct weir_ioas *ioas, struct weir_domain *domain);

/* What devices may do to an area. */
#define WEIR_IOAS_READ BIT(0)
#define WEIR_IOAS_WRITE BIT(1)

/*
 * For weir_ioas_map_user(): a mapping of one of our devices' BARs is taken as a part of that BAR.
 * Without it, and for mappings of other BARs, -EFAULT.
 */
#define WEIR_IOAS_MAP_BARS BIT(2)

/* Not where *iova says, but where there is room. */
#define WEIR_IOAS_CHOOSE BIT(3)

/*
 * weir_ioas_map_user - puts memory of the calling process at *iova.
 *
 * flags: READ, WRITE or both, and perhaps MAP_BARS and CHOOSE. Checked in this order:
 *   -EINVAL     length is 0
 *   -EOVERFLOW  iova + length - 1 or address + length - 1 wraps
 *   -EINVAL     no protection, or a value is not a multiple of weir_ioas_alignment()
 *   -EEXIST     it overlaps an area
 *   -ENOSPC     the limit of areas
 *   -EINVAL     not within weir_ioas_ranges()
 *   -ENOSPC     CHOOSE, and there is no room
 *   -ENOMEM     the process may not lock that much memory
 *   -EFAULT     nothing, or nothing that can be pinned with these rights, is at address
 * and whenever it may be, -ENOMEM: memory is short; -EINTR: the process is being killed.
 *
 * The process that is charged is the caller, also when pages are pinned later, and it is the one
 * that is uncharged. With MAP_BARS a range is all of one BAR's mapping or all memory, else -EFAULT.
 */
int weir_ioas_map_user(struct weir_ioas *ioas, u64 *iova, u64 length, unsigned long address,
		       unsigned int flags);

/*
 * weir_ioas_map_file - puts a file of memory (memfd, hugetlbfs) at *iova, from the byte start of it
 * on, as weir_ioas_map_user() does. The file is held. Whether it may be written is the caller's to
 * check. -EINVAL: it is no such file, or, when pages are pinned, it ends before; -EPERM: WRITE, and
 * it is sealed against writing.
 */
int weir_ioas_map_file(struct weir_ioas *ioas, u64 *iova, u64 length, struct file *file, u64 start,
		       unsigned int flags);

/*
 * weir_ioas_copy - puts at *iova what is at from_iova in an address space, perhaps the same one. It
 * may be a part of an area, or of several that follow one another.
 *
 * flags: READ, WRITE or both, and perhaps CHOOSE. Errors are those of
 * weir_ioas_map_user(), and before the ones about *iova: -ENOENT, not all of it is mapped there;
 * -EPERM, WRITE of what was mapped without. It waits for who maps or unmaps one of the areas.
 */
int weir_ioas_copy(struct weir_ioas *ioas, u64 *iova, u64 length, struct weir_ioas *from,
		   u64 from_iova, unsigned int flags);

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
	/* /dev/iommu: every area in the range; -ENOENT, and nothing, if an end cuts one. */
	WEIR_IOAS_UNMAP_WHOLE,
	/*
	 * What is in the range, exactly: areas that an end cuts are made two. -EINVAL, if huge
	 * pages are in use, so that this cannot be. -ENOMEM, -ENOSPC: the limit of areas.
	 */
	WEIR_IOAS_UNMAP_CUT,
	/* All of them; the range is not looked at. */
	WEIR_IOAS_UNMAP_ALL,
};

/*
 * weir_ioas_unmap - takes areas out. Devices reach them no more, and their pages are unpinned, when
 * this returns. *unmapped is the sum of the areas' lengths, 0 if there was none, which is no error.
 * It waits for who maps or unmaps one of them at the moment.
 *
 * Checked in this order:
 *   -EINVAL     length is 0, or, for type 1's two, a value is no multiple of the IOMMU's page size
 *   -EOVERFLOW  iova + length - 1 wraps
 *   and what the rule says
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
 * reserved for any attached device. In rising order. The caller owns *ranges and kvfree()s it.
 * -ENOMEM.
 */
int weir_ioas_ranges(struct weir_ioas *ioas, struct weir_ioas_range **ranges, unsigned int *count);

/*
 * Sizes of IOMMU pages that every attached domain has, one bit each. Those below the processor's
 * page are given as that.
 */
u64 weir_ioas_page_sizes(struct weir_ioas *ioas);

/* What IOVAs, lengths and addresses must be multiples of: a power of two. */
u64 weir_ioas_alignment(struct weir_ioas *ioas);

/*
 * weir_ioas_allow - from now on nothing can be attached that would make one of these ranges
 * impossible, and IOVAs are chosen from them. They replace those of the last call; with none
 * everything is as at first. The list is not kept. -EINVAL: a range ends before it begins, or two
 * overlap; -EADDRINUSE: one is impossible already; -ENOMEM.
 */
int weir_ioas_allow(struct weir_ioas *ioas, const struct weir_ioas_range *list, unsigned int count);

/*
 * Whether IOMMU entries may be larger than a page. Setting: -EINVAL when something is mapped, and
 * they may not any more; -EADDRINUSE when an area then begins or ends within a page.
 */
bool weir_ioas_huge_pages(struct weir_ioas *ioas);
int weir_ioas_set_huge_pages(struct weir_ioas *ioas, bool huge);

/*
 * weir_ioas_charge_caller - the calling process is charged for all that the address spaces have
 * mapped, and whoever was before is not. The list has all that share sources, each once, and every
 * other function about them waits meanwhile. outer is held by everybody who does this to any of
 * them.
 *
 * -EINVAL: an area is not of a file; -ENOMEM: the process may not lock that much; -EINTR. Nothing
 * has changed then.
 */
int weir_ioas_charge_caller(struct weir_ioas **list, unsigned int count, struct mutex *outer);

/* Areas that can be added. */
unsigned int weir_ioas_entries_left(struct weir_ioas *ioas);

/* Whether each domain enforces cache coherency, whatever its devices ask for. */
bool weir_ioas_enforces_coherency(struct weir_ioas *ioas);

#endif
