/* SPDX-License-Identifier: BSD-3-Clause */
/* Registers by message, and what resets do to them (datasheet chapter 8, §4.2). */
#include <string.h>

#include "igb/device.h"

#define NVM_SIZE 4u /* of EECD: 64 words << 4 */
#define VET_DEFAULT 0x81008100u
#define RXPBS_DEFAULT 0x40u /* KiB */
#define TCP_FLAGS_LOW 0x0ff60ff6u /* neither FIN nor PSH in the first and middle segments */
#define TCP_FLAGS_HIGH 0x00000f7fu

static void set_defaults(struct sim_igb *igb)
{
	const uint8_t *mac = igb->options.mac;

	memset(igb->regs, 0, sizeof(igb->regs));
	*igb_reg(igb, IGB_CTRL) = IGB_CTRL_FD | IGB_CTRL_SPEED_1000;
	*igb_reg(igb, IGB_EECD) = IGB_EECD_PRESENT | IGB_EECD_AUTO_READ |
				  NVM_SIZE << IGB_EECD_SIZE_SHIFT;
	*igb_reg(igb, IGB_EEMNGCTL) = IGB_EEMNGCTL_CFG_DONE;
	*igb_reg(igb, IGB_VET) = VET_DEFAULT;
	*igb_reg(igb, IGB_RXPBS) = RXPBS_DEFAULT;
	*igb_reg(igb, IGB_RLPML) = IGB_MAX_FRAME;
	*igb_reg(igb, IGB_DTXTCPFLGL) = TCP_FLAGS_LOW;
	*igb_reg(igb, IGB_DTXTCPFLGH) = TCP_FLAGS_HIGH;
	*igb_reg(igb, IGB_RAL) = (uint32_t)mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 |
				 (uint32_t)mac[3] << 24;
	*igb_reg(igb, IGB_RAL + 4) = (uint32_t)mac[4] | (uint32_t)mac[5] << 8 | IGB_RAH_VALID;
}

/* CTRL.RST: the MAC, without the PHY. */
static void reset_mac(struct sim_igb *igb)
{
	uint32_t phy_reset = *igb_reg(igb, IGB_STATUS) & IGB_STATUS_PHYRA;

	igb_queues_reset(igb);
	set_defaults(igb);
	*igb_reg(igb, IGB_STATUS) = phy_reset;
	igb->link = false;
	igb->rss_stale = true;
	igb_link_update(igb);
	cable_buffer_clear(igb->buffer);
	atomic_store_explicit(&igb->buffer->consumer.starved, false, memory_order_relaxed);
	igb_stats_reset(igb);
	igb_interrupts_reset(igb);
}

static void reset_phy(struct sim_igb *igb)
{
	igb_phy_reset(igb);
	*igb_reg(igb, IGB_STATUS) |= IGB_STATUS_PHYRA;
	igb_link_update(igb);
}

void igb_reset(void *model)
{
	struct sim_igb *igb = model;

	igb_phy_reset(igb);
	reset_mac(igb);
	*igb_reg(igb, IGB_STATUS) |= IGB_STATUS_PHYRA;
}

static void write_ctrl(struct sim_igb *igb, uint32_t value)
{
	if (value & IGB_CTRL_RST) {
		if (igb->options.faults.stuck_reset)
			*igb_reg(igb, IGB_CTRL) |= IGB_CTRL_RST;
		else
			reset_mac(igb);
		return;
	}
	*igb_reg(igb, IGB_CTRL) = value & ~IGB_CTRL_PHY_RST;
	if (value & IGB_CTRL_PHY_RST)
		reset_phy(igb);
	igb_link_update(igb);
}

/* A register that has a second place: where the first one is. */
static uint32_t canonical(uint32_t offset)
{
	static const uint32_t aliases[][2] = {
		{ IGB_CTRL_ALIAS, IGB_CTRL }, { IGB_ICR_ALIAS, IGB_ICR },
		{ IGB_ICS_ALIAS, IGB_ICS },   { IGB_IMS_ALIAS, IGB_IMS },
		{ IGB_IMC_ALIAS, IGB_IMC },   { IGB_IAM_ALIAS, IGB_IAM },
	};
	static const uint32_t queues[][2] = {
		{ IGB_RX_QUEUES_ALIAS, IGB_RX_QUEUES },
		{ IGB_TX_QUEUES_ALIAS, IGB_TX_QUEUES },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (offset == aliases[i][0])
			return aliases[i][1];
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(queues); i++) {
		uint32_t inside = offset - queues[i][0];

		if (inside < IGB_QUEUES_ALIAS * IGB_QUEUE_STRIDE_ALIAS &&
		    inside % IGB_QUEUE_STRIDE_ALIAS < IGB_QUEUE_STRIDE)
			return queues[i][1] + inside / IGB_QUEUE_STRIDE_ALIAS * IGB_QUEUE_STRIDE +
			       inside % IGB_QUEUE_STRIDE_ALIAS;
	}
	return offset;
}

/* The queue whose register that is; NULL: none's. */
static struct dev_ring *ring_at(struct sim_igb *igb, uint32_t offset)
{
	if (offset - IGB_RX_QUEUES < IGB_QUEUES * IGB_QUEUE_STRIDE)
		return &igb->rx[(offset - IGB_RX_QUEUES) / IGB_QUEUE_STRIDE].ring;
	if (offset - IGB_TX_QUEUES < IGB_QUEUES * IGB_QUEUE_STRIDE)
		return &igb->tx[(offset - IGB_TX_QUEUES) / IGB_QUEUE_STRIDE].ring;
	return NULL;
}

static uint32_t read_queue(const struct dev_ring *ring, uint32_t inside)
{
	volatile uint32_t *reg = (volatile uint32_t *)ring->regs + inside / 4;
	uint32_t value = *reg;

	if (inside == offsetof(struct igb_queue_regs, dropped) && !ring->transmits)
		*reg = 0;
	return value;
}

static void write_queue(const struct dev_ring *ring, uint32_t inside, uint32_t value)
{
	volatile uint32_t *reg = (volatile uint32_t *)ring->regs + inside / 4;

	/* The head is the device's while it works. */
	if (inside == offsetof(struct igb_queue_regs, head) && ring->enabled && !ring->bare)
		return;
	*reg = value;
}

static uint32_t read_register(struct sim_igb *igb, uint32_t offset)
{
	const struct dev_ring *ring = ring_at(igb, offset);
	uint32_t value;

	if (ring)
		return read_queue(ring, offset % IGB_QUEUE_STRIDE);
	if (igb_interrupt_read(igb, offset, &value) || igb_stats_read(igb, offset, &value))
		return value;
	value = *igb_reg(igb, offset);
	switch (offset) {
	case IGB_STATUS:
		return igb_status(igb);
	case IGB_SWSM: /* who reads it first has the semaphore (§8.6.6) */
		*igb_reg(igb, IGB_SWSM) |= IGB_SWSM_SMBI;
		return value;
	default:
		return value;
	}
}

static void write_register(struct sim_igb *igb, uint32_t offset, uint32_t value)
{
	const struct dev_ring *ring = ring_at(igb, offset);
	uint32_t *reg;

	if (ring) {
		write_queue(ring, offset % IGB_QUEUE_STRIDE, value);
		return;
	}
	if (igb_interrupt_write(igb, offset, value))
		return;
	reg = igb_reg(igb, offset);
	switch (offset) {
	case IGB_CTRL:
		write_ctrl(igb, value);
		break;
	case IGB_STATUS: /* software takes note of a reset of the PHY */
		*reg &= value | ~IGB_STATUS_PHYRA;
		break;
	case IGB_EECD:
		*reg = (*reg & ~(IGB_EECD_REQUEST | IGB_EECD_GRANT)) |
		       (value & IGB_EECD_REQUEST ? IGB_EECD_REQUEST | IGB_EECD_GRANT : 0);
		break;
	case IGB_EERD:
		*reg = value & IGB_EERD_START && !igb->options.faults.stuck_eeprom
			       ? igb_nvm_read(igb, value)
			       : value;
		break;
	case IGB_MDIC:
		*reg = igb_phy_access(igb, value);
		break;
	case IGB_RCTL:
		*reg = value;
		igb_link_update(igb);
		break;
	case IGB_EEMNGCTL:
		break;
	default:
		if (offset - IGB_RSSRK < IGB_RSS_KEY_BYTES)
			igb->rss_stale = true;
		*reg = value;
		break;
	}
}

/* Registers are four bytes; longer accesses are several of them. */
static int check(unsigned int bar, uint64_t offset, size_t bytes)
{
	return bar != DEV_BAR_REGISTERS || (offset | bytes) % 4 ? -EINVAL : 0;
}

int igb_read_bar(void *model, unsigned int bar, uint64_t offset, void *data, size_t bytes)
{
	struct sim_igb *igb = model;
	uint8_t *to = data;

	/* What is not the MSI-X table in its BAR. */
	if (bar == DEV_BAR_MSIX) {
		memset(data, 0, bytes);
		return 0;
	}
	if (check(bar, offset, bytes))
		return -EINVAL;
	igb_queues_notice(igb);
	for (size_t at = 0; at < bytes; at += 4) {
		uint32_t value = read_register(igb, canonical((uint32_t)(offset + at)));

		memcpy(to + at, &value, sizeof(value));
	}
	igb_interrupts_send(igb);
	return 0;
}

int igb_write_bar(void *model, unsigned int bar, uint64_t offset, const void *data, size_t bytes)
{
	struct sim_igb *igb = model;
	const uint8_t *from = data;

	if (bar == DEV_BAR_MSIX)
		return 0;
	if (check(bar, offset, bytes))
		return -EINVAL;
	igb_queues_notice(igb);
	for (size_t at = 0; at < bytes; at += 4) {
		uint32_t value;

		memcpy(&value, from + at, sizeof(value));
		write_register(igb, canonical((uint32_t)(offset + at)), value);
	}
	igb_queues_notice(igb);
	igb_interrupts_send(igb);
	return 0;
}
