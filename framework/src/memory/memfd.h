/* SPDX-License-Identifier: BSD-3-Clause */
/* The files behind arenas: sealed memfds of ordinary or huge pages. */
#ifndef WEIR_MEMORY_MEMFD_H
#define WEIR_MEMORY_MEMFD_H

#include <stdint.h>
#include <weir/error.h>

/*
 * Makes a memfd that can neither shrink nor grow. `page_shift` is an enum weir_page_size other than
 * WEIR_PAGE_AUTO; `bytes` a multiple of that page. Returns the descriptor or -EMFILE, -ENFILE,
 * -EFBIG (RLIMIT_FSIZE), -ENOMEM, also when the kernel has no pages of that size.
 */
int memfd_make(const char *name, uint64_t bytes, unsigned int page_shift, struct weir_error *err);

/* Checks that a descriptor from elsewhere is what memfd_make() makes. -EINVAL. */
int memfd_check(int fd, uint64_t bytes, uint64_t page_bytes, struct weir_error *err);

#endif
