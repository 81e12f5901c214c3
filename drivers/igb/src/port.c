/* SPDX-License-Identifier: BSD-3-Clause */
/* A port's life: reset (§4.2.1.6.1, §4.5.3), starting, stopping. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "igb.h"

#define MASTER_WAIT_MS 100
#define EEPROM_WAIT_MS 100
#define ALL_CAUSES UINT32_MAX

void igb_sleep_us(unsigned int us)
{
	struct timespec pause = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

	/* A signal is no reason to look at a device before it may be looked at. */
	while (nanosleep(&pause, &pause) && errno == EINTR)
		;
}

int igb_is_there(struct weir_nic *nic, uint32_t value)
{
	uint32_t ids = 0;
	int rc;

	/* A device that is gone reads all ones, and so does its configuration space. */
	if (value != UINT32_MAX)
		return 0;
	rc = weir_device_read(nic->dev, WEIR_REGION_CONFIG, 0, &ids, sizeof(ids), NULL);
	return rc ? rc : ids == UINT32_MAX ? -ENODEV : 0;
}

uint32_t igb_read(struct weir_nic *nic, uint32_t reg, int *rc)
{
	uint32_t value = 0;
	int ret = weir_device_read32(nic->dev, 0, reg, &value);

	if (!ret)
		ret = igb_is_there(nic, value);
	if (ret && !*rc)
		*rc = ret;
	return value;
}

uint32_t igb_read_status(struct weir_nic *nic, int *rc)
{
	uint32_t status = igb_read(nic, IGB_STATUS, rc);

	/* Some of its bits are never set (§8.2.2). */
	if (!*rc && status == UINT32_MAX)
		*rc = -EIO;
	return status;
}

static bool igb_matches(const struct weir_device_info *device)
{
	return device->vendor_id == IGB_VENDOR_INTEL && device->device_id == IGB_DEVICE_82576;
}

static void mask_interrupts(struct weir_nic *nic, int *rc)
{
	igb_write(nic, IGB_IMC, ALL_CAUSES, rc);
	igb_write(nic, IGB_EIMC, ALL_CAUSES, rc);
	igb_read(nic, IGB_ICR, rc); /* clears it */
}

/* §5.2.3.3: no new requests, and none that is not answered. */
static int stop_master(struct weir_nic *nic)
{
	int rc = 0;
	uint32_t ctrl = igb_read(nic, IGB_CTRL, &rc);

	igb_write(nic, IGB_CTRL, ctrl | IGB_CTRL_MASTER_DISABLE, &rc);
	for (unsigned int waited = 0; !rc; waited++) {
		uint32_t status = igb_read(nic, IGB_STATUS, &rc);

		if (!rc && !(status & IGB_STATUS_MASTER))
			break;
		if (!rc && waited == MASTER_WAIT_MS)
			rc = -ETIMEDOUT;
		igb_sleep_us(1000);
	}
	return rc;
}

static void disable_queues(struct weir_nic *nic, int *rc)
{
	for (unsigned int i = 0; i < IGB_QUEUES; i++) {
		igb_write(nic, IGB_RX_QUEUE(i) + IGB_DCTL, 0, rc);
		igb_write(nic, IGB_TX_QUEUE(i) + IGB_DCTL, 0, rc);
	}
}

/* Stops all DMA: the queues, then what is under way. */
static int halt(struct weir_nic *nic)
{
	int rc = 0;

	mask_interrupts(nic, &rc);
	igb_write(nic, IGB_RCTL, 0, &rc);
	igb_write(nic, IGB_TCTL, IGB_TCTL_PSP, &rc);
	disable_queues(nic, &rc);
	return rc ? rc : stop_master(nic);
}

/* The device as it is after power-on, but for the PHY. */
static int software_reset(struct weir_nic *nic)
{
	int rc = 0;
	uint32_t ctrl = igb_read(nic, IGB_CTRL, &rc), eec = 0;

	igb_write(nic, IGB_CTRL, ctrl | IGB_CTRL_RST, &rc);
	/* §4.2.1.6.1: no access for a millisecond; then the EEPROM is read anew. */
	igb_sleep_us(2000);
	for (unsigned int waited = 0; !rc && waited < EEPROM_WAIT_MS; waited++) {
		ctrl = igb_read(nic, IGB_CTRL, &rc);
		eec = igb_read(nic, IGB_EEC, &rc);
		if (!(ctrl & IGB_CTRL_RST) && (eec & IGB_EEC_AUTO_RD))
			break;
		igb_sleep_us(1000);
	}
	if (!rc && (ctrl & IGB_CTRL_RST))
		rc = -ETIMEDOUT;
	/* A device without an EEPROM says nothing of it: its address then shows whether it can be
	 * used. */
	mask_interrupts(nic, &rc);
	/* The reset leaves queue 0 of either direction enabled (§4.5.9, §4.5.10), and where a ring
	 * lies may only be said to a queue that is not. */
	disable_queues(nic, &rc);
	return rc;
}

static int reset_device(struct weir_nic *nic, struct weir_error *err)
{
	int rc = halt(nic);

	/* One whose requests are never answered is stopped by the function's own reset. */
	if (rc == -ETIMEDOUT)
		rc = weir_device_reset(nic->dev, NULL);
	if (!rc)
		rc = software_reset(nic);
	if (rc == -ETIMEDOUT) {
		rc = weir_device_reset(nic->dev, NULL);
		if (!rc)
			rc = software_reset(nic);
	}
	if (rc)
		return weir_error_set(err, rc == -ENODEV || rc == -ETIMEDOUT ? rc : -EIO,
				      "%s did not come out of its reset: %s", nic->info.address,
				      strerror(-rc));
	return 0;
}

static void fill_info(struct weir_nic *nic)
{
	struct weir_nic_info *info = &nic->info;

	info->model = "Intel 82576";
	info->capabilities = WEIR_NIC_CAN_RX_CSUM | WEIR_NIC_CAN_TX_IP_CSUM |
			     WEIR_NIC_CAN_TX_L4_CSUM | WEIR_NIC_CAN_TX_SCTP_CSUM |
			     WEIR_NIC_CAN_TSO | WEIR_NIC_CAN_USO | WEIR_NIC_CAN_VLAN_INSERT |
			     WEIR_NIC_CAN_VLAN_STRIP | WEIR_NIC_CAN_VLAN_FILTER | WEIR_NIC_CAN_RSS |
			     WEIR_NIC_CAN_HEADER_SPLIT;
	if (weir_irq_count(nic->dev, WEIR_IRQ_MSIX) > 0)
		info->capabilities |= WEIR_NIC_CAN_LINK_INTERRUPT;
	if (weir_irq_count(nic->dev, WEIR_IRQ_MSIX) > 1)
		info->capabilities |= WEIR_NIC_CAN_RX_INTERRUPT;
	info->max_rx_queues = info->max_tx_queues = IGB_QUEUES;
	info->min_entries = IGB_MIN_ENTRIES;
	info->max_entries = IGB_MAX_ENTRIES;
	info->entries_multiple = IGB_ENTRIES_MULTIPLE;
	info->min_mtu = IGB_MIN_MTU;
	info->max_mtu = IGB_MAX_PACKET - IGB_FCS_BYTES - WEIR_NIC_OVERHEAD;
	info->max_frame_bytes = IGB_MAX_FRAME;
	info->max_packet_frames = IGB_MAX_PACKET_FRAMES;
	info->max_tso_bytes = IGB_MAX_TSO;
	info->rx_buffer_multiple = IGB_BUFFER_UNIT;
	info->max_rx_buffer_bytes = IGB_MAX_BUFFER;
	info->header_multiple = IGB_HEADER_UNIT;
	info->max_header_bytes = IGB_MAX_HEADER;
	for (unsigned int hash = WEIR_NIC_HASH_TCP4; hash <= WEIR_NIC_HASH_UDP6_EXT; hash++)
		info->rss_types |= WEIR_NIC_HASH_BIT(hash);
	info->rss_table_entries = IGB_RETA_ENTRIES;
	info->unicast_filters = IGB_UNICAST_FILTERS;
}

static int igb_attach(struct weir_nic *nic, struct weir_error *err)
{
	struct igb *igb = igb_of(nic);
	uint64_t bytes = weir_device_region_bytes(nic->dev, WEIR_REGION_BAR0);
	int rc;

	if (bytes < IGB_BAR_BYTES)
		return weir_error_set(err, -EIO, "%s: BAR 0 has %" PRIu64 " bytes, less than %u",
				      nic->info.address, bytes, IGB_BAR_BYTES);
	fill_info(nic);
	rc = weir_device_bus_master(nic->dev, 0, err); /* whatever it was doing; decoding is on */
	if (!rc)
		rc = reset_device(nic, err);
	if (rc)
		return rc;
	igb->port = IGB_STATUS_LAN_ID(igb_read_status(nic, &rc)) & 1;
	igb->copper = !(igb_read(nic, IGB_CTRL_EXT, &rc) & IGB_CTRL_EXT_LINK_MODE);
	if (rc)
		return weir_error_set(err, rc, "%s: its registers cannot be read: %s",
				      nic->info.address, strerror(-rc));
	rc = igb_read_mac(nic, nic->info.mac, err);
	return rc ? rc : igb_link_begin(nic, err);
}

static void igb_detach(struct weir_nic *nic)
{
	int rc = 0;
	uint32_t ext;

	if (weir_device_gone(nic->dev))
		return;
	ext = igb_read(nic, IGB_CTRL_EXT, &rc);
	igb_write(nic, IGB_CTRL_EXT, ext & ~IGB_CTRL_EXT_DRV_LOAD, &rc);
	reset_device(nic, NULL);
}

static int igb_start(struct weir_nic *nic, struct weir_error *err)
{
	for (unsigned int i = 0; i < nic->info.rx_queues; i++)
		igb_queue_clear(nic->rxqs[i]);
	for (unsigned int i = 0; i < nic->info.tx_queues; i++)
		igb_queue_clear(nic->txqs[i]);
	return igb_setup(nic, err);
}

static int igb_halt(struct weir_nic *nic, struct weir_error *err)
{
	int rc;

	igb_count(nic); /* the reset that follows clears the counters */
	rc = halt(nic);
	/* One whose requests are never answered makes no more of them. */
	if (rc == -ETIMEDOUT)
		rc = weir_device_bus_master(nic->dev, 0, NULL);
	if (rc)
		return weir_error_set(err, rc == -ENODEV ? rc : -EIO, "%s does not stop: %s",
				      nic->info.address, strerror(-rc));
	return 0;
}

static int igb_stop(struct weir_nic *nic, struct weir_error *err)
{
	int rc = reset_device(nic, err);

	if (rc == -ETIMEDOUT)
		rc = weir_error_prefix(err, -EIO, "not stopped");
	/* A link that does not come up is found out when somebody looks at it. */
	if (!rc && igb_link_begin(nic, NULL) == -ENODEV)
		rc = weir_error_set(err, -ENODEV, "%s is gone", nic->info.address);
	return rc;
}

static void igb_dump(struct weir_nic *nic)
{
	static const struct {
		const char *name;
		uint32_t reg;
	} registers[] = {
		{ "CTRL", IGB_CTRL }, { "STATUS", IGB_STATUS }, { "CTRL_EXT", IGB_CTRL_EXT },
		{ "RCTL", IGB_RCTL }, { "TCTL", IGB_TCTL },
	};
	int rc = 0;

	if (!nic->log.write)
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++)
		weir_log_write(&nic->log, WEIR_LOG_DEBUG, "%s %08" PRIx32, registers[i].name,
			       igb_read(nic, registers[i].reg, &rc));
	for (unsigned int i = 0; i < nic->info.rx_queues; i++)
		weir_log_write(&nic->log, WEIR_LOG_DEBUG,
			       "receive queue %u: head %" PRIu32 " tail %" PRIu32
			       " RXDCTL %08" PRIx32,
			       i, igb_read(nic, IGB_RX_QUEUE(i) + IGB_HEAD, &rc),
			       igb_read(nic, IGB_RX_QUEUE(i) + IGB_TAIL, &rc),
			       igb_read(nic, IGB_RX_QUEUE(i) + IGB_DCTL, &rc));
	for (unsigned int i = 0; i < nic->info.tx_queues; i++)
		weir_log_write(&nic->log, WEIR_LOG_DEBUG,
			       "transmit queue %u: head %" PRIu32 " tail %" PRIu32
			       " TXDCTL %08" PRIx32,
			       i, igb_read(nic, IGB_TX_QUEUE(i) + IGB_HEAD, &rc),
			       igb_read(nic, IGB_TX_QUEUE(i) + IGB_TAIL, &rc),
			       igb_read(nic, IGB_TX_QUEUE(i) + IGB_DCTL, &rc));
}

static unsigned int igb_rx_room(const struct weir_nic_rxq *rxq)
{
	const struct igb_rxq *q = (const struct igb_rxq *)rxq;

	return q->entries - 1 - q->posted;
}

static unsigned int igb_tx_room(const struct weir_nic_txq *txq)
{
	return ((const struct igb_txq *)txq)->room;
}

static void igb_rx_stats(const struct weir_nic_rxq *rxq, struct weir_nic_rxq_stats *stats)
{
	const struct igb_rxq *q = (const struct igb_rxq *)rxq;

	*stats = (struct weir_nic_rxq_stats){ .packets = q->packets,
					      .bytes = q->bytes,
					      .unused = q->unused };
}

static void igb_tx_stats(const struct weir_nic_txq *txq, struct weir_nic_txq_stats *stats)
{
	const struct igb_txq *q = (const struct igb_txq *)txq;

	*stats = (struct weir_nic_txq_stats){ .frames = q->frames,
					      .bytes = q->bytes,
					      .refused = q->nr_malformed,
					      .unsent = q->unsent };
}

const struct nic_driver igb_driver = {
	.name = "igb",
	.port_bytes = sizeof(struct igb),
	.matches = igb_matches,
	.attach = igb_attach,
	.detach = igb_detach,
	.queue_create = igb_queue_create,
	.queue_destroy = igb_queue_destroy,
	.start = igb_start,
	.halt = igb_halt,
	.stop = igb_stop,
	.link = igb_link,
	.apply = igb_apply,
	.count = igb_count,
	.link_interrupt = igb_link_interrupt,
	.arm = igb_arm,
	.dump = igb_dump,
	.queue = {
		.rx_post = igb_rx_post,
		.rx = igb_rx,
		.rx_drain = igb_rx_drain,
		.rx_is_empty = igb_rx_is_empty,
		.tx = igb_tx,
		.tx_done = igb_tx_done,
		.tx_drain = igb_tx_drain,
		.tx_is_empty = igb_tx_is_empty,
		.rx_room = igb_rx_room,
		.tx_room = igb_tx_room,
		.rx_stats = igb_rx_stats,
		.tx_stats = igb_tx_stats,
	},
};
