/* SPDX-License-Identifier: GPL-2.0-only */
/* Pinning pages of a file of memory, which no process need have mapped. */
#ifndef WEIR_COMPAT_PIN_FILE_H
#define WEIR_COMPAT_PIN_FILE_H

#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/sched.h>
#include <linux/shmem_fs.h>

#include "compat/compat.h"

/* Whether a tmpfs or a hugetlbfs file is sealed against writing, or may be a moment later. */
static inline bool weir_compat_is_sealed(const struct file *file)
{
	const unsigned int against = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	struct inode *inode = file_inode(file);

#ifdef CONFIG_HUGETLBFS
	if (inode->i_sb->s_magic == HUGETLBFS_MAGIC)
		return HUGETLBFS_I(inode)->seals & against;
#endif
	return SHMEM_I(inode)->seals & against;
}

#if !WEIR_HAVE_MEMFD_PIN_FOLIOS
/* Of each folio one pin is kept. How many there are. */
static inline long weir_compat_keep_folios(struct page **pages, long count)
{
	struct folio **folios = (struct folio **)pages;
	long i, kept = 0;

	for (i = 0; i < count; i++) {
		struct folio *folio = page_folio(pages[i]);

		if (kept && folios[kept - 1] == folio)
			unpin_user_page(pages[i]);
		else
			folios[kept++] = folio;
	}
	return kept;
}

/* Huge pages that are mapped at once: of few, mapping costs more than pinning. */
#define WEIR_COMPAT_BLOCKS 64ul

/* Pins a page at each step from an address on. How many; a negative errno if there is none. */
static inline long weir_compat_pin_steps(unsigned long address, unsigned long step,
					 unsigned long count, unsigned int flags,
					 struct page **pages)
{
	unsigned long i;
	long rc;

	for (i = 0; i < count; i++) {
		rc = pin_user_pages_fast(address + i * step, 1, flags, pages + i);
		if (rc <= 0)
			return i ? i : rc;
	}
	return count;
}

/* Whether all are the file's: another thread may have mapped something else meanwhile. */
static inline bool weir_compat_are_of(const struct file *file, struct page **pages, long count)
{
	long i;

	for (i = 0; i < count; i++)
		if (page_folio(pages[i])->mapping != file->f_mapping)
			return false;
	return true;
}
#endif

/*
 * Pins folios of a tmpfs or a hugetlbfs file for long, those of some of its pages from index on,
 * with one pin each, to be given back by unpin_user_page() of any page of theirs. Takes the
 * caller's mmap_lock, and the inode's lock. The number of folios, at least 1; *skip is the page of
 * the first that index is. -EINVAL: the file ends before; -EPERM: writable, and it is sealed
 * against that; -ENOMEM, -EFAULT, -EINTR...
 *
 * What is pinned cannot be sealed. Who seals holds the inode's lock from looking for pins to the
 * end, so that the seals are looked at with that lock held, too, until there are pins.
 *
 * Where the kernel cannot do it by itself, the file is mapped by the caller for a moment: a mapping
 * that can be written and a seal exclude each other.
 */
static inline long weir_compat_pin_file(struct file *file, pgoff_t index, unsigned long pages,
					bool writable, struct folio **folios, unsigned int max,
					unsigned long *skip)
{
	struct inode *inode = file_inode(file);
	/* A page that the file ends in is none of it. */
	const unsigned long all = i_size_read(inode) >> PAGE_SHIFT;
#if WEIR_HAVE_MEMFD_PIN_FOLIOS
	pgoff_t offset;
	long count;

	if (index >= all || pages > all - index)
		return -EINVAL;
	/* Who writes to the file may hold it for as long as their memory takes to be there. */
	if (down_read_killable(&inode->i_rwsem))
		return -EINTR;
	if (writable && weir_compat_is_sealed(file))
		count = -EPERM;
	else
		count = memfd_pin_folios(file, (loff_t)index << PAGE_SHIFT,
					 ((loff_t)(index + pages) << PAGE_SHIFT) - 1, folios, max,
					 &offset);
	inode_unlock_shared(inode);
	if (count <= 0)
		return count;
	*skip = offset >> PAGE_SHIFT;
	return count;
#else
	const unsigned long block = inode->i_sb->s_magic == HUGETLBFS_MAGIC
					    ? inode->i_sb->s_blocksize >> PAGE_SHIFT
					    : 1;
	const unsigned int flags = FOLL_LONGTERM | (writable ? FOLL_WRITE : 0);
	unsigned long address, blocks, length;
	struct page **array = (struct page **)folios;
	long count;

	if (index >= all || pages > all - index)
		return -EINVAL;
	*skip = index % block;
	blocks = min3(DIV_ROUND_UP(*skip + pages, block), (unsigned long)max,
		      block > 1 ? WEIR_COMPAT_BLOCKS : ULONG_MAX);
	length = blocks * block << PAGE_SHIFT;
	address = vm_mmap(file, 0, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
			  (index - *skip) << PAGE_SHIFT);
	if (IS_ERR_VALUE(address))
		return (long)address;
	if (block > 1)
		count = weir_compat_pin_steps(address, block << PAGE_SHIFT, blocks, flags, array);
	else
		count = pin_user_pages_fast(address, blocks, flags, array);
	vm_munmap(address, length);
	if (count <= 0)
		return count;
	if (!weir_compat_are_of(file, array, count)) {
		unpin_user_pages(array, count);
		return -EFAULT;
	}
	if (block == 1)
		*skip = folio_page_idx(page_folio(array[0]), array[0]);
	return weir_compat_keep_folios(array, count);
#endif
}

#endif
