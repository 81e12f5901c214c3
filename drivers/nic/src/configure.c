/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuring a port: checking what is asked for, and making its queues. */
#include <stdlib.h>
#include <string.h>

#include "nic.h"

#define DEFAULT_ENTRIES 512u
#define DEFAULT_MTU 1500u
#define DEFAULT_BUFFER 2048u
/* Both kinds for TCP over IPv6: QEMU's 82576 looks at no ports for the plain one. */
#define HASH_IP_TCP \
	(WEIR_NIC_HASH_BIT(WEIR_NIC_HASH_TCP4) | WEIR_NIC_HASH_BIT(WEIR_NIC_HASH_IP4) | \
	 WEIR_NIC_HASH_BIT(WEIR_NIC_HASH_TCP6) | WEIR_NIC_HASH_BIT(WEIR_NIC_HASH_TCP6_EXT) | \
	 WEIR_NIC_HASH_BIT(WEIR_NIC_HASH_IP6))

/* A key whose 16 bits from any even bit on differ from all others: no two of a packet's fields, or
 * halves of one, cancel each other. Any such key will do; this one was drawn once. */
static const uint8_t default_key[WEIR_NIC_RSS_KEY_BYTES] = {
	0x8f, 0x1b, 0xc6, 0x5e, 0x23, 0xd9, 0x70, 0xa4, 0x3d, 0xe2, 0x97, 0x4c, 0x0b, 0xf1,
	0x68, 0xb5, 0x5a, 0x06, 0xdc, 0x39, 0x92, 0x7f, 0xc3, 0x1e, 0xe8, 0x41, 0xad, 0x74,
	0x2b, 0xd0, 0x9f, 0x63, 0x16, 0xfa, 0x85, 0x4e, 0xb2, 0x3c, 0x69, 0xd7,
};

void nic_queues_destroy(struct weir_nic *nic)
{
	for (unsigned int i = 0; nic->rxqs && i < nic->info.rx_queues; i++) {
		if (nic->rxqs[i])
			nic->driver->queue_destroy(nic->rxqs[i]);
	}
	for (unsigned int i = 0; nic->txqs && i < nic->info.tx_queues; i++) {
		if (nic->txqs[i])
			nic->driver->queue_destroy(nic->txqs[i]);
	}
	free(nic->rxqs);
	free(nic->txqs);
	nic->rxqs = nic->txqs = NULL;
	nic->info.rx_queues = nic->info.tx_queues = 0;
	nic->info.rx_entries = nic->info.tx_entries = 0;
	nic->info.mtu = nic->info.rx_buffer_bytes = nic->info.header_bytes = 0;
	nic->configured = false;
}

static bool is_parked(struct nic_queue *queue)
{
	return atomic_load_explicit(&queue->control, memory_order_acquire) == NIC_PARKED;
}

int nic_all_parked(struct weir_nic *nic, struct weir_error *err)
{
	for (unsigned int i = 0; i < nic->info.rx_queues; i++) {
		if (!is_parked(nic->rxqs[i]))
			return weir_error_set(
				err, -EAGAIN,
				"the owner of receive queue %u has not taken its frames back", i);
	}
	for (unsigned int i = 0; i < nic->info.tx_queues; i++) {
		if (!is_parked(nic->txqs[i]))
			return weir_error_set(
				err, -EAGAIN,
				"the owner of transmit queue %u has not taken its frames back", i);
	}
	return 0;
}

static int check_range(const char *what, unsigned int value, unsigned int least, unsigned int most,
		       struct weir_error *err)
{
	if (value < least || value > most)
		return weir_error_set(err, -EINVAL, "%s %u is out of the device's %u to %u", what,
				      value, least, most);
	return 0;
}

static int check_multiple(const char *what, unsigned int value, unsigned int multiple,
			  struct weir_error *err)
{
	if (value % multiple)
		return weir_error_set(err, -EINVAL, "%s %u is no multiple of %u", what, value,
				      multiple);
	return 0;
}

static int check_entries(const struct weir_nic *nic, const char *what, unsigned int value,
			 struct weir_error *err)
{
	int rc = check_range(what, value, nic->info.min_entries, nic->info.max_entries, err);

	return rc ? rc : check_multiple(what, value, nic->info.entries_multiple, err);
}

static int check_buffers(const struct weir_nic *nic, const struct weir_nic_config *config,
			 struct weir_error *err)
{
	const struct weir_nic_info *info = &nic->info;
	int rc = check_range("receive buffer of", config->rx_buffer_bytes, info->rx_buffer_multiple,
			     info->max_rx_buffer_bytes, err);

	if (!rc)
		rc = check_multiple("receive buffer of", config->rx_buffer_bytes,
				    info->rx_buffer_multiple, err);
	if (rc || !config->header_bytes)
		return rc;
	if (!(info->capabilities & WEIR_NIC_CAN_HEADER_SPLIT))
		return weir_error_set(err, -EOPNOTSUPP, "%s cannot split headers off", info->model);
	rc = check_range("header buffer of", config->header_bytes, info->header_multiple,
			 info->max_header_bytes, err);
	return rc ? rc
		  : check_multiple("header buffer of", config->header_bytes, info->header_multiple,
				   err);
}

static int check_rss(const struct weir_nic *nic, const struct weir_nic_config *config,
		     struct weir_error *err)
{
	if (config->rss_types & ~nic->info.rss_types)
		return weir_error_set(err, -EOPNOTSUPP,
				      "hash types %#x are not all of the device's %#x",
				      config->rss_types, nic->info.rss_types);
	if (!config->rss_table_entries)
		return 0;
	if (config->rss_table_entries != nic->info.rss_table_entries)
		return weir_error_set(err, -EINVAL, "a table of %u entries is not the device's %u",
				      config->rss_table_entries, nic->info.rss_table_entries);
	if (!config->rss_table)
		return weir_error_set(err, -EINVAL, "rss_table is NULL, its entries are %u",
				      config->rss_table_entries);
	for (unsigned int i = 0; i < config->rss_table_entries; i++) {
		if (config->rss_table[i] >= config->rx_queues)
			return weir_error_set(err, -EINVAL,
					      "rss_table entry %u is %u, the receive queues are %u",
					      i, config->rss_table[i], config->rx_queues);
	}
	return 0;
}

static int check_flags(const struct weir_nic *nic, const struct weir_nic_config *config,
		       struct weir_error *err)
{
	if (config->receive & ~(uint32_t)(WEIR_NIC_PROMISCUOUS | WEIR_NIC_NO_BROADCAST))
		return weir_error_set(err, -EINVAL, "receive is %#x, unknown bits",
				      config->receive);
	if (config->vlan_strip > 1 || config->rx_device_memory > 1)
		return weir_error_set(err, -EINVAL,
				      "vlan_strip is %u, rx_device_memory %u: not 0 or 1",
				      config->vlan_strip, config->rx_device_memory);
	if (config->vlan_strip && !(nic->info.capabilities & WEIR_NIC_CAN_VLAN_STRIP))
		return weir_error_set(err, -EOPNOTSUPP, "%s cannot take VLAN tags off",
				      nic->info.model);
	if (config->reserved[0] | config->reserved[1])
		return weir_error_set(err, -EINVAL, "port configuration: reserved is not 0");
	return 0;
}

/* Fills in the defaults, and checks the rest. */
static int check_config(const struct weir_nic *nic, struct weir_nic_config *config,
			struct weir_error *err)
{
	const struct weir_nic_info *info = &nic->info;
	int rc;

	config->rx_queues = config->rx_queues ? config->rx_queues : 1;
	config->tx_queues = config->tx_queues ? config->tx_queues : 1;
	config->rx_entries = config->rx_entries ? config->rx_entries : DEFAULT_ENTRIES;
	config->tx_entries = config->tx_entries ? config->tx_entries : DEFAULT_ENTRIES;
	config->mtu = config->mtu ? config->mtu : DEFAULT_MTU;
	config->rx_buffer_bytes = config->rx_buffer_bytes ? config->rx_buffer_bytes
							  : DEFAULT_BUFFER;
	if (config->rx_queues > info->max_rx_queues)
		return weir_error_set(err, -EINVAL, "%u receive queues are over the device's %u",
				      config->rx_queues, info->max_rx_queues);
	if (config->tx_queues > info->max_tx_queues)
		return weir_error_set(err, -EINVAL, "%u transmit queues are over the device's %u",
				      config->tx_queues, info->max_tx_queues);
	rc = check_entries(nic, "receive ring of", config->rx_entries, err);
	if (!rc)
		rc = check_entries(nic, "transmit ring of", config->tx_entries, err);
	if (!rc)
		rc = check_range("MTU", config->mtu, info->min_mtu, info->max_mtu, err);
	if (!rc)
		rc = check_buffers(nic, config, err);
	if (!rc)
		rc = check_rss(nic, config, err);
	return rc ? rc : check_flags(nic, config, err);
}

static void keep_rss(struct weir_nic *nic, const struct weir_nic_config *config)
{
	for (unsigned int i = 0; i < nic->info.rss_table_entries; i++) {
		unsigned int queue = config->rss_table_entries ? config->rss_table[i]
							       : i % config->rx_queues;

		nic->rss_table[i] = (uint8_t)queue;
	}
	memcpy(nic->rss_key, config->rss_key ? config->rss_key : default_key, sizeof(nic->rss_key));
	nic->rss_types = config->rss_types;
	if (!nic->rss_types && config->rx_queues > 1)
		nic->rss_types = HASH_IP_TCP & nic->info.rss_types;
}

static void keep_config(struct weir_nic *nic, const struct weir_nic_config *config)
{
	nic->config = *config;
	keep_rss(nic, config);
	nic->config.rss_table = nic->rss_table;
	nic->config.rss_key = nic->rss_key;
	nic->receive = config->receive;
	free(nic->filters);
	nic->filters = NULL;
	nic->nr_filters = nic->nr_unicast = 0;
	nic->vlan_filter = false;
	nic->info.rx_queues = config->rx_queues;
	nic->info.tx_queues = config->tx_queues;
	nic->info.rx_entries = config->rx_entries;
	nic->info.tx_entries = config->tx_entries;
	nic->info.mtu = config->mtu;
	nic->info.rx_buffer_bytes = config->rx_buffer_bytes;
	nic->info.header_bytes = config->header_bytes;
	atomic_store(&nic->max_packet, nic_packet_bytes(config->mtu));
}

static int make_queue(struct weir_nic *nic, struct nic_queue **slot, bool receives,
		      unsigned int index, struct weir_error *err)
{
	struct nic_queue *queue = nic->driver->queue_create(nic, receives, index, err);

	if (!queue)
		return -ENOMEM;
	queue->nic = nic;
	queue->index = index;
	queue->receives = receives;
	queue->fd = -1;
	if (receives && nic->vector_fds && index + 1 < nic->nr_vectors) {
		queue->vector = index + 1;
		queue->fd = nic->vector_fds[queue->vector];
	}
	atomic_init(&queue->control, NIC_PARKED);
	*slot = queue;
	return 0;
}

static int make_queues(struct weir_nic *nic, struct weir_error *err)
{
	int rc = 0;

	nic->rxqs = calloc(nic->info.rx_queues, sizeof(struct nic_queue *));
	nic->txqs = calloc(nic->info.tx_queues, sizeof(struct nic_queue *));
	if (!nic->rxqs || !nic->txqs)
		return weir_error_set(err, -ENOMEM, "no memory for queues");
	for (unsigned int i = 0; !rc && i < nic->info.rx_queues; i++)
		rc = make_queue(nic, &nic->rxqs[i], true, i, err);
	for (unsigned int i = 0; !rc && i < nic->info.tx_queues; i++)
		rc = make_queue(nic, &nic->txqs[i], false, i, err);
	return rc;
}

static int configure_locked(struct weir_nic *nic, struct weir_nic_config *config,
			    struct weir_error *err)
{
	int rc = nic_usable(nic, err);

	if (rc)
		return rc;
	if (nic->state == NIC_STARTED)
		return weir_error_set(err, -EBUSY, "%s is started", nic->info.address);
	rc = nic_all_parked(nic, err);
	if (!rc)
		rc = check_config(nic, config, err);
	if (rc)
		return rc;
	nic_queues_destroy(nic);
	keep_config(nic, config);
	rc = make_queues(nic, err);
	if (rc)
		nic_queues_destroy(nic);
	nic->configured = !rc;
	return rc;
}

WEIR_EXPORT int weir_nic_configure(struct weir_nic *nic, const struct weir_nic_config *from,
				   struct weir_error *err)
{
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	int rc;

	rc = weir_options_copy(&config, sizeof(config), from, "port configuration", err);
	if (rc)
		return rc;
	pthread_mutex_lock(&nic->lock);
	rc = configure_locked(nic, &config, err);
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

WEIR_EXPORT struct weir_nic_rxq *weir_nic_rxq(struct weir_nic *nic, unsigned int index)
{
	return index < nic->info.rx_queues ? (struct weir_nic_rxq *)nic->rxqs[index] : NULL;
}

WEIR_EXPORT struct weir_nic_txq *weir_nic_txq(struct weir_nic *nic, unsigned int index)
{
	return index < nic->info.tx_queues ? (struct weir_nic_txq *)nic->txqs[index] : NULL;
}
