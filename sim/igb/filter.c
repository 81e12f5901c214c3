/* SPDX-License-Identifier: BSD-3-Clause */
/* Which frames are for this port (datasheet §7.1.1). */
#include <string.h>

#include "igb/device.h"

static bool matches_address(const struct sim_igb *igb, const uint8_t *frame)
{
	uint32_t low, high = 0;

	memcpy(&low, frame, 4);
	memcpy(&high, frame + 4, 2);
	for (unsigned int i = 0; i < IGB_RAL_ENTRIES; i++) {
		uint32_t offset = i < 16 ? IGB_RAL + 8 * i : IGB_RAL_HIGH + 8 * (i - 16);
		uint32_t rah = igb->regs[offset / 4 + 1];

		if (rah & IGB_RAH_VALID && (rah & 0xffff) == high && igb->regs[offset / 4] == low)
			return true;
	}
	return false;
}

/* Twelve bits of the address, from where RCTL.MO says, name a bit of the table. */
static bool matches_multicast(const struct sim_igb *igb, const uint8_t *frame)
{
	static const unsigned int shifts[] = { 4, 3, 2, 0 };
	uint32_t rctl = igb->regs[IGB_RCTL / 4];
	uint32_t tail = frame[4] | (uint32_t)frame[5] << 8;
	uint32_t hash = tail >> shifts[rctl >> IGB_RCTL_MO_SHIFT & 3] & 0xfff;

	return igb->regs[IGB_MTA / 4 + (hash >> 5)] >> (hash & 31) & 1;
}

static bool matches_vlan(const struct sim_igb *igb, const uint8_t *frame, uint32_t bytes)
{
	uint32_t rctl = igb->regs[IGB_RCTL / 4];
	uint32_t tag, vid;

	if (!(rctl & IGB_RCTL_VFE) || !igb_is_tagged(igb, frame, bytes))
		return true;
	tag = (uint32_t)frame[14] << 8 | frame[15];
	vid = tag & 0xfff;
	if (rctl & IGB_RCTL_CFIEN && !(tag & 0x1000) != !(rctl & IGB_RCTL_CFI))
		return false;
	return igb->regs[IGB_VFTA / 4 + (vid >> 5)] >> (vid & 31) & 1;
}

bool igb_filter(const struct sim_igb *igb, const uint8_t *frame, uint32_t bytes)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint32_t rctl = igb->regs[IGB_RCTL / 4];
	bool ours;

	if (frame[0] & 1)
		ours = rctl & IGB_RCTL_MPE || matches_multicast(igb, frame) ||
		       (rctl & IGB_RCTL_BAM && !memcmp(frame, broadcast, sizeof(broadcast)));
	else
		ours = rctl & IGB_RCTL_UPE;
	return (ours || matches_address(igb, frame)) && matches_vlan(igb, frame, bytes);
}
