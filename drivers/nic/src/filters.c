/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port lets in: MTU, addresses, VLANs. Kept here, and told to the device when it runs. */
#include <stdlib.h>
#include <string.h>

#include "nic.h"

static int apply(struct weir_nic *nic, struct weir_error *err)
{
	int rc = nic->state == NIC_STARTED ? nic->driver->apply(nic) : 0;

	if (rc && rc != -ENODEV)
		return weir_error_set(err, rc, "the registers of %s cannot be written: %s",
				      nic->info.address, strerror(-rc));
	return nic_result(nic, rc, err);
}

static bool is_zero(const uint8_t mac[WEIR_NIC_MAC_BYTES])
{
	static const uint8_t zero[WEIR_NIC_MAC_BYTES];

	return !memcmp(mac, zero, sizeof(zero));
}

static bool is_multicast(const uint8_t mac[WEIR_NIC_MAC_BYTES])
{
	return mac[0] & 1;
}

WEIR_EXPORT int weir_nic_set_mtu(struct weir_nic *nic, unsigned int mtu, struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = nic_usable(nic, err);
	if (!rc && (mtu < nic->info.min_mtu || mtu > nic->info.max_mtu))
		rc = weir_error_set(err, -EINVAL, "MTU %u is out of the device's %u to %u", mtu,
				    nic->info.min_mtu, nic->info.max_mtu);
	if (!rc && !nic->configured)
		rc = weir_error_set(err, -EINVAL, "%s is not configured", nic->info.address);
	if (!rc) {
		nic->info.mtu = nic->config.mtu = mtu;
		atomic_store(&nic->max_packet, nic_packet_bytes(mtu));
		rc = apply(nic, err);
	}
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

WEIR_EXPORT int weir_nic_set_receive(struct weir_nic *nic, uint32_t receive, struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = nic_usable(nic, err);
	if (!rc && (receive & ~(uint32_t)(WEIR_NIC_PROMISCUOUS | WEIR_NIC_NO_BROADCAST)))
		rc = weir_error_set(err, -EINVAL, "receive is %#x, unknown bits", receive);
	if (!rc) {
		nic->receive = receive;
		rc = apply(nic, err);
	}
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

WEIR_EXPORT int weir_nic_set_mac(struct weir_nic *nic, const uint8_t mac[WEIR_NIC_MAC_BYTES],
				 struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = nic_usable(nic, err);
	if (!rc && (is_multicast(mac) || is_zero(mac)))
		rc = weir_error_set(err, -EINVAL,
				    "%02x:%02x:%02x:%02x:%02x:%02x is no port's address", mac[0],
				    mac[1], mac[2], mac[3], mac[4], mac[5]);
	if (!rc) {
		memcpy(nic->info.mac, mac, sizeof(nic->info.mac));
		rc = apply(nic, err);
	}
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

/* A copy of the addresses, unicast ones first. */
static int sort_filters(const struct weir_nic *nic, const uint8_t (*macs)[WEIR_NIC_MAC_BYTES],
			unsigned int n, uint8_t (**sorted)[WEIR_NIC_MAC_BYTES],
			unsigned int *nr_unicast, struct weir_error *err)
{
	unsigned int unicast = 0, at = 0;
	uint8_t(*copy)[WEIR_NIC_MAC_BYTES];

	if (n > NIC_MAX_FILTERS)
		return weir_error_set(err, -EINVAL, "%u addresses are over the limit of %u", n,
				      NIC_MAX_FILTERS);
	for (unsigned int i = 0; i < n; i++) {
		if (is_zero(macs[i]))
			return weir_error_set(err, -EINVAL, "address %u of %u is all zeroes", i, n);
		unicast += !is_multicast(macs[i]);
	}
	if (unicast + 1 > nic->info.unicast_filters)
		return weir_error_set(err, -ENOSPC,
				      "%u unicast addresses are over the device's %u, its own less",
				      unicast, nic->info.unicast_filters - 1);
	copy = malloc(n ? n * sizeof(*copy) : 1);
	if (!copy)
		return weir_error_set(err, -ENOMEM, "no memory for %u addresses", n);
	for (int multicast = 0; multicast < 2; multicast++) {
		for (unsigned int i = 0; i < n; i++) {
			if (is_multicast(macs[i]) == multicast)
				memcpy(copy[at++], macs[i], sizeof(copy[0]));
		}
	}
	*sorted = copy;
	*nr_unicast = unicast;
	return 0;
}

WEIR_EXPORT int weir_nic_set_filters(struct weir_nic *nic,
				     const uint8_t (*macs)[WEIR_NIC_MAC_BYTES], unsigned int n,
				     struct weir_error *err)
{
	uint8_t(*sorted)[WEIR_NIC_MAC_BYTES] = NULL;
	unsigned int unicast = 0;
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = nic_usable(nic, err);
	if (!rc)
		rc = sort_filters(nic, macs, n, &sorted, &unicast, err);
	if (!rc) {
		free(nic->filters);
		nic->filters = sorted;
		nic->nr_filters = n;
		nic->nr_unicast = unicast;
		rc = apply(nic, err);
	}
	pthread_mutex_unlock(&nic->lock);
	return rc;
}

WEIR_EXPORT int weir_nic_vlan_filter(struct weir_nic *nic, const uint64_t ids[64],
				     struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nic->lock);
	rc = nic_usable(nic, err);
	if (!rc) {
		nic->vlan_filter = ids != NULL;
		if (ids)
			memcpy(nic->vlan_ids, ids, sizeof(nic->vlan_ids));
		rc = apply(nic, err);
	}
	pthread_mutex_unlock(&nic->lock);
	return rc;
}
