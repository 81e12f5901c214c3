/* SPDX-License-Identifier: BSD-3-Clause */
/* A reset device's registers: what it lets in, its queues, its interrupts (§4.5). */
#include <string.h>

#include "igb.h"

#define ENABLE_WAIT_MS 10
#define MULTICAST_HASH_SHIFT 4 /* RCTL.MO is 0: bits 47:36 of the address (§7.1.1.2.3) */

static void write_address(struct weir_nic *nic, unsigned int entry,
			  const uint8_t mac[WEIR_NIC_MAC_BYTES], int *rc)
{
	uint32_t low = 0, high = 0;

	for (unsigned int i = 0; mac && i < 4; i++)
		low |= (uint32_t)mac[i] << 8 * i;
	for (unsigned int i = 4; mac && i < WEIR_NIC_MAC_BYTES; i++)
		high |= (uint32_t)mac[i] << 8 * (i - 4);
	/* Not valid while it is half written. */
	igb_write(nic, IGB_RAH(entry), 0, rc);
	igb_write(nic, IGB_RAL(entry), low, rc);
	if (mac)
		igb_write(nic, IGB_RAH(entry), high | IGB_RAH_VALID, rc);
}

/* Exact filters hold the port's address, then the unicast ones, then as many others as fit; what is
 * left goes through the hash (§7.1.1). */
static void apply_addresses(struct weir_nic *nic, int *rc)
{
	uint32_t table[IGB_MTA_REGISTERS] = { 0 };
	unsigned int at = 0;

	write_address(nic, 0, nic->info.mac, rc);
	for (unsigned int entry = 1; entry < IGB_UNICAST_FILTERS; entry++, at++)
		write_address(nic, entry, at < nic->nr_filters ? nic->filters[at] : NULL, rc);
	for (; at < nic->nr_filters; at++) {
		const uint8_t *mac = nic->filters[at];
		unsigned int hash = (unsigned int)(mac[5] << 8 | mac[4]) >> MULTICAST_HASH_SHIFT;

		table[hash / 32] |= 1u << hash % 32;
	}
	for (unsigned int i = 0; i < IGB_MTA_REGISTERS; i++)
		igb_write(nic, IGB_MTA(i), table[i], rc);
}

static void apply_vlans(struct weir_nic *nic, int *rc)
{
	for (unsigned int i = 0; i < IGB_VFTA_REGISTERS; i++) {
		uint64_t word = nic->vlan_filter ? nic->vlan_ids[i / 2] : 0;

		igb_write(nic, IGB_VFTA(i), (uint32_t)(i % 2 ? word >> 32 : word), rc);
	}
}

static uint32_t receive_control(const struct weir_nic *nic)
{
	uint32_t rctl = IGB_RCTL_RXEN | IGB_RCTL_SECRC | IGB_RCTL_LPE;

	if (nic->receive & WEIR_NIC_ALL_UNICAST)
		rctl |= IGB_RCTL_UPE;
	if (nic->receive & WEIR_NIC_ALL_MULTICAST)
		rctl |= IGB_RCTL_MPE;
	if (!(nic->receive & WEIR_NIC_NO_BROADCAST))
		rctl |= IGB_RCTL_BAM;
	if (nic->vlan_filter)
		rctl |= IGB_RCTL_VFE;
	return rctl;
}

int igb_apply(struct weir_nic *nic)
{
	int rc = 0;

	apply_addresses(nic, &rc);
	apply_vlans(nic, &rc);
	igb_write(nic, IGB_RLPML, nic_packet_bytes(nic->info.mtu) + IGB_FCS_BYTES, &rc);
	igb_write(nic, IGB_RCTL, receive_control(nic), &rc);
	return rc;
}

static void setup_rss(struct weir_nic *nic, int *rc)
{
	/* Bit of MRQC for each enum weir_nic_hash (§8.10.17). */
	static const uint8_t fields[] = {
		[WEIR_NIC_HASH_TCP4] = 16,     [WEIR_NIC_HASH_IP4] = 17,
		[WEIR_NIC_HASH_TCP6_EXT] = 18, [WEIR_NIC_HASH_IP6_EXT] = 19,
		[WEIR_NIC_HASH_IP6] = 20,      [WEIR_NIC_HASH_TCP6] = 21,
		[WEIR_NIC_HASH_UDP4] = 22,     [WEIR_NIC_HASH_UDP6] = 23,
		[WEIR_NIC_HASH_UDP6_EXT] = 24,
	};
	uint32_t mrqc = 0;

	for (unsigned int hash = WEIR_NIC_HASH_TCP4; hash < ARRAY_SIZE(fields); hash++) {
		if (nic->rss_types & WEIR_NIC_HASH_BIT(hash))
			mrqc |= IGB_MRQC_RSS | 1u << fields[hash];
	}
	for (unsigned int i = 0; i < WEIR_NIC_RSS_KEY_BYTES; i += 4)
		igb_write(nic, IGB_RSSRK(i / 4),
			  nic->rss_key[i] | (uint32_t)nic->rss_key[i + 1] << 8 |
				  (uint32_t)nic->rss_key[i + 2] << 16 |
				  (uint32_t)nic->rss_key[i + 3] << 24,
			  rc);
	for (unsigned int i = 0; i < IGB_RETA_ENTRIES; i += 4)
		igb_write(nic, IGB_RETA(i / 4),
			  nic->rss_table[i] | (uint32_t)nic->rss_table[i + 1] << 8 |
				  (uint32_t)nic->rss_table[i + 2] << 16 |
				  (uint32_t)nic->rss_table[i + 3] << 24,
			  rc);
	igb_write(nic, IGB_MRQC, mrqc, rc);
}

/* Enables a queue and waits until the device has (§4.5.9, §4.5.10). */
static int enable_queue(struct weir_nic *nic, uint32_t queue, uint32_t control)
{
	int rc = 0;

	igb_write(nic, queue + IGB_DCTL, control | IGB_DCTL_ENABLE, &rc);
	for (unsigned int waited = 0; !rc; waited++) {
		if ((igb_read(nic, queue + IGB_DCTL, &rc) & IGB_DCTL_ENABLE) || rc)
			break;
		if (waited == ENABLE_WAIT_MS)
			rc = -ETIMEDOUT;
		igb_sleep_us(1000);
	}
	return rc;
}

static void setup_ring(struct weir_nic *nic, uint32_t queue, const void *ring, uint32_t entries,
		       int *rc)
{
	uint64_t iova = weir_arena_ptr_iova(nic->arena, ring);

	igb_write(nic, queue + IGB_BASE_LOW, (uint32_t)iova, rc);
	igb_write(nic, queue + IGB_BASE_HIGH, (uint32_t)(iova >> 32), rc);
	igb_write(nic, queue + IGB_LENGTH, entries * (uint32_t)sizeof(igb_pair), rc);
	igb_write(nic, queue + IGB_HEAD, 0, rc);
	igb_write(nic, queue + IGB_TAIL, 0, rc);
}

static int setup_rxq(struct weir_nic *nic, const struct igb_rxq *q)
{
	uint32_t reg = IGB_RX_QUEUE(q->common.index);
	uint32_t srrctl = q->buffer_bytes / IGB_BUFFER_UNIT;
	int rc = 0;

	if (q->header_bytes)
		srrctl |= IGB_SRRCTL_SPLIT_ALWAYS | IGB_SRRCTL_HEADER(q->header_bytes);
	else
		srrctl |= IGB_SRRCTL_ONE_BUFFER;
	/* Of several queues one that is not looked after must not hold up the others. */
	if (nic->info.rx_queues > 1)
		srrctl |= IGB_SRRCTL_DROP;
	setup_ring(nic, reg, q->ring, q->entries, &rc);
	igb_write(nic, reg + IGB_SRRCTL, srrctl, &rc);
	igb_write(nic, IGB_PSRTYPE(q->common.index), IGB_PSRTYPE_ALL, &rc);
	return rc ? rc : enable_queue(nic, reg, IGB_RXDCTL_THRESHOLDS);
}

static int setup_txq(struct weir_nic *nic, const struct igb_txq *q)
{
	uint32_t reg = IGB_TX_QUEUE(q->common.index);
	int rc = 0;

	setup_ring(nic, reg, q->ring, q->entries, &rc);
	return rc ? rc : enable_queue(nic, reg, IGB_TXDCTL_THRESHOLDS);
}

/* Vector 0 for the link, one for each receive queue; cleared as they are sent (§7.3.1). */
static void setup_interrupts(struct weir_nic *nic, int *rc)
{
	uint32_t ivar[IGB_IVAR_REGISTERS] = { 0 }, vectors = 1;

	if (!nic->vector_fds)
		return;
	for (unsigned int i = 0; i < nic->info.rx_queues; i++) {
		unsigned int vector = nic->rxqs[i]->vector;

		if (nic->rxqs[i]->fd < 0)
			continue;
		ivar[i % 8] |= (vector | IGB_IVAR_VALID) << (i < 8 ? 0 : 16);
		vectors |= 1u << vector;
		igb_write(nic, IGB_EITR(vector), 0, rc);
	}
	igb_write(nic, IGB_GPIE, IGB_GPIE_MSIX | IGB_GPIE_NSICR | IGB_GPIE_PBA, rc);
	for (unsigned int i = 0; i < IGB_IVAR_REGISTERS; i++)
		igb_write(nic, IGB_IVAR(i), ivar[i], rc);
	igb_write(nic, IGB_IVAR_MISC, IGB_IVAR_VALID << 8, rc);
	igb_write(nic, IGB_EITR(0), 0, rc);
	igb_write(nic, IGB_EIAC, vectors, rc);
	igb_write(nic, IGB_EIMS, vectors, rc);
	igb_write(nic, IGB_IMS, IGB_INT_LINK, rc);
}

int igb_link_interrupt(struct weir_nic *nic)
{
	int rc = 0;

	igb_read(nic, IGB_ICR, &rc); /* clears it */
	if (nic->state == NIC_STARTED) {
		igb_write(nic, IGB_IMS, IGB_INT_LINK, &rc);
		igb_write(nic, IGB_EIMS, 1, &rc);
	}
	return rc;
}

int igb_arm(struct nic_queue *queue)
{
	int rc = 0;

	igb_write(queue->nic, IGB_EIMS, 1u << queue->vector, &rc);
	return rc;
}

int igb_setup(struct weir_nic *nic, struct weir_error *err)
{
	int rc = 0;
	uint32_t ctrl = igb_read(nic, IGB_CTRL, &rc), ext = igb_read(nic, IGB_CTRL_EXT, &rc);

	ctrl &= ~(IGB_CTRL_VME | IGB_CTRL_MASTER_DISABLE);
	igb_write(nic, IGB_CTRL, ctrl | (nic->config.vlan_strip ? IGB_CTRL_VME : 0), &rc);
	igb_write(nic, IGB_CTRL_EXT, ext | IGB_CTRL_EXT_DRV_LOAD, &rc);
	igb_write(nic, IGB_RXCSUM,
		  IGB_RXCSUM_IP | IGB_RXCSUM_L4 | IGB_RXCSUM_SCTP | IGB_RXCSUM_PCSD, &rc);
	setup_rss(nic, &rc);
	igb_write(nic, IGB_TCTL,
		  IGB_TCTL_EN | IGB_TCTL_PSP | IGB_TCTL_CT | IGB_TCTL_COLD | IGB_TCTL_RTLC, &rc);
	for (unsigned int i = 0; !rc && i < nic->info.tx_queues; i++) {
		rc = setup_txq(nic, (struct igb_txq *)nic->txqs[i]);
		if (rc == -ETIMEDOUT)
			return weir_error_set(err, rc, "%s does not enable transmit queue %u",
					      nic->info.address, i);
	}
	/* Queues are enabled after RXEN (§4.5.9). */
	if (!rc)
		rc = igb_apply(nic);
	for (unsigned int i = 0; !rc && i < nic->info.rx_queues; i++) {
		rc = setup_rxq(nic, (struct igb_rxq *)nic->rxqs[i]);
		if (rc == -ETIMEDOUT)
			return weir_error_set(err, rc, "%s does not enable receive queue %u",
					      nic->info.address, i);
	}
	setup_interrupts(nic, &rc);
	if (rc)
		return weir_error_set(err, rc, "%s: its registers cannot be reached: %s",
				      nic->info.address, strerror(-rc));
	return 0;
}
