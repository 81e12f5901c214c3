/* SPDX-License-Identifier: BSD-3-Clause */
/* The PHY, which has negotiated 1000BASE-T in full duplex as soon as there is a cable, and the
 * link that comes of it (datasheet §3.5, §8.2.4; registers: IEEE 802.3 clause 22). */
#include <string.h>

#include "igb/device.h"

enum {
	PHY_CONTROL = 0,
	PHY_STATUS = 1,
	PHY_ID1 = 2,
	PHY_ID2 = 3,
	PHY_ADVERTISES = 4,
	PHY_PARTNER = 5,
	PHY_EXPANSION = 6,
	PHY_1000T_CONTROL = 9,
	PHY_1000T_STATUS = 10,
	PHY_EXTENDED_STATUS = 15,
	PHY_PORT_STATUS = 17, /* of the 82576's own: speed in bits 15:14 */
};

#define CONTROL_RESET 0x8000u
#define CONTROL_POWER_DOWN 0x0800u
#define CONTROL_RESTART 0x0200u
#define CONTROL_DEFAULT 0x1140u /* negotiation, full duplex, 1000 Mb/s */
#define STATUS_DEFAULT 0x7949u /* every speed, extended status, can negotiate */
#define STATUS_LINK 0x0024u /* link, negotiation complete */
#define ADVERTISES_DEFAULT 0x0de1u
#define PARTNER_DEFAULT 0xcde1u
#define EXPANSION_DEFAULT 0x0003u
#define T1000_CONTROL_DEFAULT 0x0300u
#define T1000_STATUS_DEFAULT 0x3c00u
#define EXTENDED_DEFAULT 0x3000u
#define PORT_STATUS_1000 0xc000u

void igb_phy_reset(struct sim_igb *igb)
{
	memset(igb->phy, 0, sizeof(igb->phy));
	igb->phy[PHY_CONTROL] = CONTROL_DEFAULT;
	igb->phy[PHY_ADVERTISES] = ADVERTISES_DEFAULT;
	igb->phy[PHY_1000T_CONTROL] = T1000_CONTROL_DEFAULT;
}

/* Whether the PHY sees its partner. */
static bool has_signal(const struct sim_igb *igb)
{
	const struct cable_ops *ops = igb->cable->ops;

	return igb->plugged && !(igb->phy[PHY_CONTROL] & CONTROL_POWER_DOWN) &&
	       (!ops->signal || ops->signal(igb->cable));
}

static uint16_t phy_read(const struct sim_igb *igb, unsigned int reg)
{
	bool linked = has_signal(igb);

	switch (reg) {
	case PHY_STATUS:
		return linked ? STATUS_DEFAULT | STATUS_LINK : STATUS_DEFAULT;
	case PHY_ID1:
		return IGB_PHY_ID1;
	case PHY_ID2:
		return IGB_PHY_ID2;
	case PHY_PARTNER:
		return linked ? PARTNER_DEFAULT : 0;
	case PHY_EXPANSION:
		return linked ? EXPANSION_DEFAULT : 0;
	case PHY_1000T_STATUS:
		return linked ? T1000_STATUS_DEFAULT : 0;
	case PHY_EXTENDED_STATUS:
		return EXTENDED_DEFAULT;
	case PHY_PORT_STATUS:
		return linked ? PORT_STATUS_1000 : 0;
	default:
		return igb->phy[reg];
	}
}

static void phy_write(struct sim_igb *igb, unsigned int reg, uint16_t value)
{
	if (reg == PHY_CONTROL && value & CONTROL_RESET) {
		igb_phy_reset(igb);
		return;
	}
	if (reg == PHY_CONTROL)
		value &= (uint16_t)~CONTROL_RESTART;
	igb->phy[reg] = value;
}

uint32_t igb_phy_access(struct sim_igb *igb, uint32_t mdic)
{
	uint32_t reg = mdic >> IGB_MDIC_REGISTER_SHIFT & 0x1f;
	uint32_t address = mdic >> IGB_MDIC_ADDRESS_SHIFT & 0x1f;

	mdic &= ~(IGB_MDIC_READY | IGB_MDIC_ERROR);
	if (address != IGB_PHY_ADDRESS)
		return mdic | IGB_MDIC_READY | IGB_MDIC_ERROR;
	if (mdic & IGB_MDIC_WRITE) {
		phy_write(igb, reg, (uint16_t)mdic);
		igb_link_update(igb);
	} else if (mdic & IGB_MDIC_READ) {
		mdic = (mdic & 0xffff0000u) | phy_read(igb, reg);
	}
	return mdic | IGB_MDIC_READY;
}

void igb_link_update(struct sim_igb *igb)
{
	bool link = has_signal(igb) && *igb_reg(igb, IGB_CTRL) & IGB_CTRL_SLU;
	bool receives = link && *igb_reg(igb, IGB_RCTL) & IGB_RCTL_RXEN;

	/* The far end looks at it for each frame. */
	if (receives != igb->receives)
		atomic_store_explicit(&igb->buffer->consumer.listens, receives,
				      memory_order_relaxed);
	igb->receives = receives;
	if (link == igb->link)
		return;
	igb->link = link;
	igb_cause_other(igb, IGB_ICR_LSC);
}

uint32_t igb_status(const struct sim_igb *igb)
{
	uint32_t ctrl = igb->regs[IGB_CTRL / 4];
	uint32_t status = IGB_STATUS_FD | IGB_STATUS_SPEED_1000 | IGB_STATUS_ASDV_1000 |
			  IGB_STATUS_RESET_DONE | (igb->regs[IGB_STATUS / 4] & IGB_STATUS_PHYRA);

	if (igb->link)
		status |= IGB_STATUS_LU;
	if (!(ctrl & IGB_CTRL_MASTER_DISABLE))
		status |= IGB_STATUS_MASTER;
	return status;
}

void sim_igb_set_link(struct sim_igb *igb, bool up)
{
	igb->plugged = up;
	atomic_store_explicit(&igb->cable->unplugged, !up, memory_order_relaxed);
	igb_link_update(igb);
	igb_interrupts_send(igb);
}
