/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters (§8.18). The device's are cleared when they are read, and stay at their end when they
 * overflow; those of two registers are read low half first, and the high half clears both.
 */
#include "igb.h"

#define COUNTER(member, reg) \
	{ \
		offsetof(struct weir_nic_stats, member), reg, false \
	}
#define COUNTER64(member, reg) \
	{ \
		offsetof(struct weir_nic_stats, member), reg, true \
	}

static const struct {
	size_t offset;
	uint32_t reg;
	bool wide;
} counters[] = {
	COUNTER(rx_packets, 0x4074),	   COUNTER64(rx_bytes, 0x4088),
	COUNTER(tx_packets, 0x4080),	   COUNTER64(tx_bytes, 0x4090),
	COUNTER(rx_multicast, 0x407c),	   COUNTER(rx_broadcast, 0x4078),
	COUNTER(tx_multicast, 0x40f0),	   COUNTER(tx_broadcast, 0x40f4),
	COUNTER(rx_missed, 0x4010),	   COUNTER(rx_no_buffers, 0x40a0),
	COUNTER(rx_crc_errors, 0x4000),	   COUNTER(rx_align_errors, 0x4004),
	COUNTER(rx_symbol_errors, 0x4008), COUNTER(rx_errors, 0x400c),
	COUNTER(rx_length_errors, 0x4040), COUNTER(rx_undersize, 0x40a4),
	COUNTER(rx_fragments, 0x40a8),	   COUNTER(rx_oversize, 0x40ac),
	COUNTER(rx_jabber, 0x40b0),	   COUNTER(rx_pause, 0x4050),
	COUNTER(tx_pause, 0x4054),	   COUNTER(tx_collisions, 0x4028),
	COUNTER(tx_aborted, 0x4018),	   COUNTER(tx_aborted, 0x4020),
	COUNTER(tx_deferred, 0x4030),	   COUNTER(tx_tso, 0x40f8),
};

int igb_count(struct weir_nic *nic)
{
	int rc = 0;

	/* Before what is no count is added up. */
	igb_read_status(nic, &rc);
	for (unsigned int i = 0; !rc && i < ARRAY_SIZE(counters); i++) {
		uint64_t *sum = (uint64_t *)((char *)&nic->stats + counters[i].offset);
		uint64_t value = igb_read(nic, counters[i].reg, &rc);

		if (counters[i].wide)
			value |= (uint64_t)igb_read(nic, counters[i].reg + 4, &rc) << 32;
		if (!rc)
			*sum += value;
	}
	for (unsigned int i = 0; !rc && i < nic->info.rx_queues; i++) {
		uint32_t dropped = 0;

		/* Not through a mapping, which of an emulated device is memory: reading has to
		 * clear it. */
		rc = weir_device_read(nic->dev, WEIR_REGION_BAR0, IGB_RX_QUEUE(i) + IGB_RQDPC,
				      &dropped, sizeof(dropped), NULL);
		if (!rc)
			rc = igb_is_there(nic, dropped);
		if (!rc)
			nic->stats.rx_dropped += dropped;
	}
	return rc;
}
