/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses to regions by message. */
#include "base/base.h"
#include "server/server.h"

/* What a stretch of a BAR belongs to. */
enum part {
	PART_MODEL,
	PART_MSIX_TABLE,
	PART_MSIX_PENDING,
};

uint64_t region_bytes(const struct sim_server *server, uint32_t region)
{
	if (region < SIM_NR_BARS)
		return server->pci.bars[region].bytes;
	return region == REGION_CONFIG ? CONFIG_SPACE_BYTES : 0;
}

/* The part that offset is in, where in it that is, and how many bytes from there on are too. */
static enum part find_part(const struct sim_server *server, uint32_t bar, uint64_t offset,
			   uint64_t *inside, uint64_t *left)
{
	const struct sim_pci *pci = &server->pci;
	const struct {
		enum part part;
		uint64_t start, end;
	} parts[] = {
		{ PART_MSIX_TABLE, pci->msix_table,
		  pci->msix_table + MSIX_ENTRY_BYTES * pci->nr_vectors },
		{ PART_MSIX_PENDING, pci->msix_pba,
		  pci->msix_pba + weir_align_up(pci->nr_vectors, 64) / 8 },
	};

	*inside = offset;
	*left = pci->bars[bar].bytes - offset;
	if (!pci->nr_vectors || bar != pci->msix_bar)
		return PART_MODEL;
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++) {
		if (offset >= parts[i].start && offset < parts[i].end) {
			*inside = offset - parts[i].start;
			*left = parts[i].end - offset;
			return parts[i].part;
		}
		if (offset<parts[i].start && * left> parts[i].start - offset)
			*left = parts[i].start - offset;
	}
	return PART_MODEL;
}

static int bar_read(struct sim_server *server, uint32_t bar, uint64_t offset, uint8_t *data,
		    size_t bytes)
{
	while (bytes) {
		uint64_t inside, left;
		enum part part = find_part(server, bar, offset, &inside, &left);
		size_t count = bytes < left ? bytes : (size_t)left;
		int rc = 0;

		if (part == PART_MSIX_TABLE)
			irqs_table_read(&server->irqs, inside, data, count);
		else if (part == PART_MSIX_PENDING)
			irqs_pending_read(&server->irqs, inside, data, count);
		else
			rc = server->ops->read(server->model, bar, inside, data, count);
		if (rc)
			return rc;
		offset += count;
		data += count;
		bytes -= count;
	}
	return 0;
}

static int bar_write(struct sim_server *server, uint32_t bar, uint64_t offset, const uint8_t *data,
		     size_t bytes)
{
	while (bytes) {
		uint64_t inside, left;
		enum part part = find_part(server, bar, offset, &inside, &left);
		size_t count = bytes < left ? bytes : (size_t)left;
		int rc = 0;

		if (part == PART_MSIX_TABLE)
			irqs_table_write(&server->irqs, inside, data, count);
		else if (part == PART_MODEL)
			rc = server->ops->write(server->model, bar, inside, data, count);
		if (rc)
			return rc;
		offset += count;
		data += count;
		bytes -= count;
	}
	return 0;
}

static void config_write(struct sim_server *server, uint64_t offset, const void *data, size_t bytes)
{
	unsigned int events = config_space_write(&server->config, offset, data, bytes);

	if (events & CONFIG_EVENT_RESET)
		server_reset(server);
	if (events & CONFIG_EVENT_MSIX)
		irqs_control_written(&server->irqs);
}

int region_read(struct sim_server *server, uint32_t region, uint64_t offset, void *data,
		size_t bytes)
{
	if (!bytes || !weir_range_within(offset, bytes, region_bytes(server, region)))
		return -EINVAL;
	if (region != REGION_CONFIG)
		return bar_read(server, region, offset, data, bytes);
	config_space_read(&server->config, offset, data, bytes);
	return 0;
}

int region_write(struct sim_server *server, uint32_t region, uint64_t offset, const void *data,
		 size_t bytes)
{
	if (!bytes || !weir_range_within(offset, bytes, region_bytes(server, region)))
		return -EINVAL;
	if (region != REGION_CONFIG)
		return bar_write(server, region, offset, data, bytes);
	config_write(server, offset, data, bytes);
	return 0;
}
