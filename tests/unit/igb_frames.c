/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "igb_frames.h"

struct weir_frame igb_buffer(unsigned int n)
{
	return (struct weir_frame){ .iova = IOVA(n), .cookie = COOKIE(n), .len = BUFFER };
}

void igb_buffer_pair(unsigned int n, struct weir_frame frames[2])
{
	frames[0] = igb_buffer(2 * n + 1);
	frames[0].len = HEADER;
	frames[0].flags = WEIR_FRAME_HEADER | WEIR_FRAME_MORE;
	frames[1] = igb_buffer(2 * n);
}

void igb_post(struct igb_fixture *f, unsigned int first, unsigned int n)
{
	struct weir_frame frames[2 * ENTRIES];

	if (f->rx->header_bytes) {
		for (unsigned int i = 0; i < n; i++)
			igb_buffer_pair(first + i, &frames[2 * i]);
		assert_int_equal(weir_nic_rx_post(f->rxq, frames, 2 * n), 2 * n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		frames[i] = igb_buffer(first + i);
	assert_int_equal(weir_nic_rx_post(f->rxq, frames, n), n);
}

void igb_check_frame(const struct weir_frame *frame, unsigned int n, uint32_t len, uint32_t flags)
{
	assert_int_equal(frame->iova, IOVA(n));
	assert_int_equal(frame->cookie, COOKIE(n));
	assert_int_equal(frame->len, len);
	assert_int_equal(frame->flags, flags);
}

void igb_check_drained(struct igb_fixture *f, unsigned int first, unsigned int n)
{
	struct weir_frame got[3];
	const unsigned int each = f->rx->header_bytes ? 2 : 1;
	unsigned int seen = 0;
	int rc;

	while ((rc = weir_nic_rx(f->rxq, got, 1 + seen % 3)) > 0) {
		for (int i = 0; i < rc; i++, seen++) {
			unsigned int at = first + seen / each;
			bool is_header = each == 2 && seen % 2 == 0;

			igb_check_frame(
				&got[i], each == 2 ? 2 * at + is_header : at, 0,
				WEIR_FRAME_UNUSED |
					(is_header ? WEIR_FRAME_HEADER | WEIR_FRAME_MORE : 0));
		}
	}
	assert_int_equal(rc, 0);
	assert_int_equal(seen, n * each);
	assert_int_equal(atomic_load(&f->rxqs[0]->control), NIC_PARKED);
	assert_int_equal(weir_nic_rx(f->rxq, got, 3), 0);
}

struct weir_frame igb_plain(unsigned int n)
{
	return (struct weir_frame){ .iova = IOVA(n), .cookie = COOKIE(n), .len = 60 + n % 1000 };
}
