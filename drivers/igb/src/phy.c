/* SPDX-License-Identifier: BSD-3-Clause */
/* What lies behind registers of the 82576: EEPROM (§8.4), PHY (§8.25), and the link they make. */
#include <string.h>

#include "igb.h"

#define EEPROM_WAIT_US 10000
#define MDIC_WAIT_US 10000
#define SEMAPHORE_WAIT_US 1000000
#define POLL_US 50

static uint64_t after_us(unsigned int us)
{
	return weir_now_ns() + us * UINT64_C(1000);
}

/* Waits until the register has all of `mask`, or none of it. -ETIMEDOUT. */
static int wait_for(struct weir_nic *nic, uint32_t reg, uint32_t mask, bool set, unsigned int us)
{
	const uint64_t end = after_us(us);
	int rc = 0;

	for (;;) {
		const bool last = weir_now_ns() >= end;
		uint32_t value = igb_read(nic, reg, &rc);

		if (rc)
			return rc;
		if ((value & mask) == (set ? mask : 0))
			return 0;
		if (last)
			return -ETIMEDOUT;
		igb_sleep_us(POLL_US);
	}
}

static int read_eeprom(struct weir_nic *nic, unsigned int word, uint16_t *value)
{
	int rc = 0;

	igb_write(nic, IGB_EERD, IGB_EERD_ADDRESS(word) | IGB_EERD_START, &rc);
	if (!rc)
		rc = wait_for(nic, IGB_EERD, IGB_EERD_DONE, true, EEPROM_WAIT_US);
	if (!rc)
		*value = IGB_EERD_DATA(igb_read(nic, IGB_EERD, &rc));
	return rc;
}

static bool is_address(const uint8_t mac[WEIR_NIC_MAC_BYTES])
{
	static const uint8_t zero[WEIR_NIC_MAC_BYTES];

	return !(mac[0] & 1) && memcmp(mac, zero, sizeof(zero));
}

/* The device has put the EEPROM's address into its first filter (§8.10.15); if not, it is read. */
int igb_read_mac(struct weir_nic *nic, uint8_t mac[WEIR_NIC_MAC_BYTES], struct weir_error *err)
{
	int rc = 0;
	uint32_t low = igb_read(nic, IGB_RAL(0), &rc), high = igb_read(nic, IGB_RAH(0), &rc);

	for (unsigned int i = 0; i < WEIR_NIC_MAC_BYTES; i++)
		mac[i] = (uint8_t)(i < 4 ? low >> 8 * i : high >> 8 * (i - 4));
	if (!rc && (high & IGB_RAH_VALID) && is_address(mac))
		return 0;
	for (unsigned int i = 0; !rc && i < WEIR_NIC_MAC_BYTES; i += 2) {
		uint16_t word = 0;

		rc = read_eeprom(nic, igb_of(nic)->port * IGB_EEPROM_PORT + i / 2, &word);
		mac[i] = (uint8_t)word;
		mac[i + 1] = (uint8_t)(word >> 8);
	}
	if (rc)
		return weir_error_set(err, rc, "%s: its EEPROM cannot be read: %s",
				      nic->info.address, strerror(-rc));
	if (!is_address(mac))
		return weir_error_set(
			err, -EIO,
			"%s: its EEPROM has %02x:%02x:%02x:%02x:%02x:%02x, no port's address",
			nic->info.address, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return 0;
}

/* §4.6.12: the semaphore that guards SW_FW_SYNC, which says who has the PHY. */
static int lock_sync(struct weir_nic *nic)
{
	int rc = wait_for(nic, IGB_SWSM, IGB_SWSM_SMBI, false, SEMAPHORE_WAIT_US);
	uint64_t end;
	uint32_t swsm;

	/* A driver that died with it: this one is the port's only driver. */
	if (rc && rc != -ETIMEDOUT)
		return rc;
	rc = 0;
	end = after_us(SEMAPHORE_WAIT_US);
	do {
		igb_write(nic, IGB_SWSM, IGB_SWSM_SMBI | IGB_SWSM_SWESMBI, &rc);
		swsm = igb_read(nic, IGB_SWSM, &rc);
		if (rc || (swsm & IGB_SWSM_SWESMBI))
			return rc;
		igb_sleep_us(POLL_US);
	} while (weir_now_ns() < end);
	igb_write(nic, IGB_SWSM, 0, &rc); /* SMBI is not to be kept either */
	return -ETIMEDOUT;
}

static int take_phy(struct weir_nic *nic)
{
	const uint64_t end = after_us(SEMAPHORE_WAIT_US);
	unsigned int port = igb_of(nic)->port;

	/* By the clock: each lock may take as long as all of this. */
	do {
		int rc = lock_sync(nic);
		uint32_t sync;
		bool taken;

		if (rc)
			return rc;
		sync = igb_read(nic, IGB_SW_FW_SYNC, &rc);
		taken = !(sync & IGB_FW_PHY(port));
		if (taken)
			igb_write(nic, IGB_SW_FW_SYNC, sync | IGB_SW_PHY(port), &rc);
		igb_write(nic, IGB_SWSM, 0, &rc);
		if (rc || taken)
			return rc;
		igb_sleep_us(100 * POLL_US);
	} while (weir_now_ns() < end);
	return -ETIMEDOUT;
}

static void give_phy(struct weir_nic *nic)
{
	int rc = lock_sync(nic);
	uint32_t sync;

	if (rc)
		return;
	sync = igb_read(nic, IGB_SW_FW_SYNC, &rc);
	igb_write(nic, IGB_SW_FW_SYNC, sync & ~IGB_SW_PHY(igb_of(nic)->port), &rc);
	igb_write(nic, IGB_SWSM, 0, &rc);
}

/* One access to a register of the PHY (§8.2.4). */
static int access_phy(struct weir_nic *nic, uint32_t command, uint32_t *mdic)
{
	int rc = 0;

	igb_write(nic, IGB_MDIC, command | IGB_MDIC_PHY, &rc);
	if (!rc)
		rc = wait_for(nic, IGB_MDIC, IGB_MDIC_READY, true, MDIC_WAIT_US);
	if (rc)
		return rc;
	*mdic = igb_read(nic, IGB_MDIC, &rc);
	if (!rc && (*mdic & IGB_MDIC_ERROR))
		rc = -EIO;
	return rc;
}

/* Powers the PHY up and lets it negotiate. What it offers is the EEPROM's choice. */
static int restart_phy(struct weir_nic *nic)
{
	uint32_t mdic, control;
	int rc = take_phy(nic);

	if (rc)
		return rc;
	rc = access_phy(nic, IGB_MDIC_READ | IGB_MDIC_REGISTER(IGB_PHY_CONTROL), &mdic);
	if (!rc) {
		control = mdic & IGB_MDIC_DATA;
		control &= ~(IGB_PHY_CONTROL_POWER_DOWN | IGB_PHY_CONTROL_ISOLATE);
		control |= IGB_PHY_CONTROL_AUTO | IGB_PHY_CONTROL_RESTART;
		rc = access_phy(nic, IGB_MDIC_WRITE | IGB_MDIC_REGISTER(IGB_PHY_CONTROL) | control,
				&mdic);
	}
	give_phy(nic);
	return rc;
}

int igb_link_begin(struct weir_nic *nic, struct weir_error *err)
{
	struct igb *igb = igb_of(nic);
	int rc = 0;
	uint32_t ctrl = igb_read(nic, IGB_CTRL, &rc), pcs;

	/* Speed and duplex are the PHY's to find (§8.2.1). */
	ctrl &= ~(IGB_CTRL_FRCSPD | IGB_CTRL_FRCDPX | IGB_CTRL_RFCE | IGB_CTRL_TFCE);
	igb_write(nic, IGB_CTRL, ctrl | IGB_CTRL_SLU, &rc);
	if (!rc && igb->copper) {
		rc = restart_phy(nic);
	} else if (!rc) {
		pcs = igb_read(nic, IGB_PCS_LCTL, &rc);
		igb_write(nic, IGB_PCS_LCTL, pcs | IGB_PCS_LCTL_AUTO | IGB_PCS_LCTL_RESTART, &rc);
	}
	if (rc)
		return weir_error_set(err, rc, "%s: its %s does not answer: %s", nic->info.address,
				      igb->copper ? "PHY" : "PCS", strerror(-rc));
	return 0;
}

int igb_link(struct weir_nic *nic, struct weir_nic_link *link, struct weir_error *err)
{
	static const uint32_t speeds[] = { 10, 100, 1000, 1000 };
	int rc = 0;
	uint32_t status = igb_read_status(nic, &rc), ctrl = igb_read(nic, IGB_CTRL, &rc);

	*link = (struct weir_nic_link){ 0 };
	if (rc)
		return weir_error_set(err, rc, "%s: its registers cannot be read: %s",
				      nic->info.address, strerror(-rc));
	if (!(status & IGB_STATUS_LU))
		return 0;
	link->up = 1;
	link->full_duplex = (status & IGB_STATUS_FD) != 0;
	link->speed_mbps = speeds[IGB_STATUS_SPEED(status)];
	link->rx_pause = (ctrl & IGB_CTRL_RFCE) != 0;
	link->tx_pause = (ctrl & IGB_CTRL_TFCE) != 0;
	return 0;
}
